package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

// Config is what an agent is started with.
type Config struct {
	// Role is what it is there for; required.
	Role protocol.Role
	// BrokerAddress is host:port; required.
	BrokerAddress string
	// ServerName is what the broker's certificate must say. Default: the host of BrokerAddress.
	ServerName string
	// TokenFile and CAFile are read again at each connect: both are replaced while we run.
	TokenFile string
	CAFile    string
	// WorkDir is for scratch files, restic's cache and results that are not stored yet.
	// Default: /stash-tmp.
	WorkDir string
	// StateDir is where a restore that is done is recorded; it should outlive a reboot of the
	// node. Default: WorkDir.
	StateDir string
	// RestoreID names the restore of this pod in that record. Default: "restore", since a pod
	// has one.
	RestoreID string
	// Mounted is, for a worker, the mount path of the local backend it is there for.
	Mounted string
	// ResticBinary is restic. Default: restic, from PATH.
	ResticBinary string
	// ToolPath is where the programs of databases are looked up. Default: PATH.
	ToolPath string
	// TerminationLog is where kubelet reads why a container failed. Default: none is written.
	TerminationLog string
	// Build names the program's version to the broker.
	Build string
	// Log is told what an operator acts on. Default: nothing is logged.
	Log *slog.Logger
	// Timings; zero values are defaults.
	Timings Timings
}

// Timings are the times that an agent keeps.
type Timings struct {
	// Heartbeat is the time between two signs of life. Default: protocol.HeartbeatInterval.
	Heartbeat time.Duration
	// Silence is how long a broker may say nothing before the stream is given up. Default: three
	// heartbeats.
	Silence time.Duration
	// BackoffMin and BackoffMax bound the wait before a reconnect. Default: 200 ms and 15 s.
	BackoffMin time.Duration
	BackoffMax time.Duration
	// Metadata limits commands that move no data. Default: 30 s.
	Metadata time.Duration
	// RetryLock is how long restic waits for a lock of somebody else. Default: 5 min.
	RetryLock time.Duration
	// Idle is how long a worker stays without work. Default: 5 min.
	Idle time.Duration
	// Grace is how long restic may take to end when it is told to. Default: 20 s.
	Grace time.Duration
	// Flush is how long a stopping agent tries to get rid of its last results. Default: 5 s.
	Flush time.Duration
	// Progress is the shortest time between two reports of one task. Default: 1 s.
	Progress time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if !slices.Contains(protocol.Roles(), c.Role) {
		return c, fmt.Errorf("check configuration: role %q is none of %q", c.Role, protocol.Roles())
	}
	if c.BrokerAddress == "" || c.TokenFile == "" || c.CAFile == "" {
		return c, errors.New("check configuration: the broker's address, the token's file and the CA's file are required")
	}
	c.WorkDir = or(c.WorkDir, "/stash-tmp")
	c.StateDir = or(c.StateDir, c.WorkDir)
	c.RestoreID = or(c.RestoreID, "restore")
	c.ResticBinary = or(c.ResticBinary, "restic")
	c.Build = or(c.Build, "unknown")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &c.Timings
	t.Heartbeat = or(t.Heartbeat, protocol.HeartbeatInterval)
	t.Silence = or(t.Silence, 3*t.Heartbeat)
	t.BackoffMin = or(t.BackoffMin, 200*time.Millisecond)
	t.BackoffMax = or(t.BackoffMax, 15*time.Second)
	t.Metadata = or(t.Metadata, 30*time.Second)
	t.RetryLock = or(t.RetryLock, 5*time.Minute)
	t.Idle = or(t.Idle, 5*time.Minute)
	t.Grace = or(t.Grace, 20*time.Second)
	t.Flush = or(t.Flush, 5*time.Second)
	t.Progress = or(t.Progress, time.Second)
	return c, nil
}

func or[T comparable](value, other T) T {
	var zero T
	if value == zero {
		return other
	}
	return value
}

// dir makes and returns a folder of this role's own below WorkDir: containers of one pod share it
// and may run as different users.
func (c Config) dir(name string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(c.WorkDir, string(c.Role), name))
	if err != nil {
		return "", fmt.Errorf("find folder %q: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	return dir, nil
}
