// Command stash-agent runs in the pods that Stash backs up and restores, and in repository workers.
package main

import (
	"context"
	"flag"
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
