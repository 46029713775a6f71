// Command stash-agent runs in the pods that Stash backs up and restores, and in repository workers.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/seed-731df569/stash/agent"
	"github.com/seed-731df569/stash/broker/protocol"
)

func main() {
	os.Exit(run())
}

// programs are where restic, nice and ionice are in our image.
const programs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// harden takes two things from the container's environment, which others write: which programs run, and
// whether a crash, restic's too, leaves the memory, with the keys in it, on a disk.
func harden() error {
	if err := os.Setenv("PATH", programs); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	// Where a program takes the dumps, as on most nodes, Linux gives it those of processes with a limit
	// of 0, too; of those with 1 nobody gets any. No dump is as short as one byte.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 1, Max: 1}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}

func run() int {
	var c agent.Config
	var format string
	flag.StringVar((*string)(&c.Role), "role", "", "what the agent is there for: sidecar, init or worker")
	flag.StringVar(&c.BrokerAddress, "broker", "", "host:port of the broker")
	flag.StringVar(&c.ServerName, "server-name", "", "name in the broker's certificate (default: the broker's host)")
	flag.StringVar(&c.TokenFile, "token", "/var/run/secrets/stash/token/token", "file of the ServiceAccount token")
	flag.StringVar(&c.CAFile, "ca", "/var/run/secrets/stash/ca/ca.crt", "file of the broker's CA")
	flag.StringVar(&c.WorkDir, "tmp", "/stash-tmp", "folder for scratch files, the cache and results")
	flag.StringVar(&c.StateDir, "state", "", "folder where a restore that is done is recorded (default: that of -tmp)")
	flag.StringVar(&c.RestoreID, "restore-id", os.Getenv("STASH_RESTORE_ID"), "name of the restore in that record")
	flag.StringVar(&c.Mounted, "mounted", "", "mount path of a worker's local backend")
	flag.StringVar(&c.ResticBinary, "restic", "restic", "the restic program")
	flag.StringVar(&c.TerminationLog, "termination-log", "/dev/termination-log", "file for the reason of a failure")
	flag.DurationVar(&c.Timings.Idle, "idle", 5*time.Minute, "how long a worker stays without work")
	flag.StringVar(&format, "log-format", "text", "text or json")
	flag.Parse()

	var handler slog.Handler = slog.NewTextHandler(os.Stderr, nil)
	if format == "json" {
		handler = slog.NewJSONHandler(os.Stderr, nil)
	}
	c.Log = slog.New(handler)
	c.Build = build()
	if err := harden(); err != nil {
		c.Log.Error("agent ends", "err", err)
		return 1
	}
	agent.TuneMemory()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := agent.Run(ctx, c); err != nil {
		c.Log.Error("agent ends", "role", string(c.Role), "protocol", protocol.Version, "err", err)
		return 1
	}
	return 0
}

// build is the version that Go has stamped into the program.
func build() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}
