// Command bench measures what the budgets of docs/benchmarks.md speak of, side by side in one run,
// and prints the tables that the page quotes: the pod handler, what it adds to the creation of a pod,
// the start of a session, a backup against plain restic on the same data and store, and the memory of
// an idle agent. It runs in the module's root folder, on a cluster of its own ("bench") that it removes
// again. It judges nothing: a budget that is missed is printed, and never fails the run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	only      string
	benchstat string
	benchtime string
	count     int

	cluster string
	net     int
	nodes   int
	keep    bool

	pods     int
	sessions int
	repeat   int
	large    int
	small    int
	idle     time.Duration

	log io.Writer
	// command is how the run is repeated.
	command string
}

// limit bounds the whole run, which takes about a quarter of that on two cores.
const limit = 60 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string, log io.Writer) (options, error) {
	o := options{log: log}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(log)
	f.StringVar(&o.only, "only", "handler,admission,idle,start,job,large,small", "what to measure")
	f.StringVar(&o.benchstat, "benchstat", "benchstat", "path of benchstat")
	f.StringVar(&o.benchtime, "benchtime", "1s", "time of one Go benchmark")
	f.IntVar(&o.count, "count", 6, "runs of each Go benchmark")
	f.StringVar(&o.cluster, "cluster", "bench", "name of the cluster; one that is up is used and stays up")
	f.IntVar(&o.net, "net", 91, "second octet of its addresses")
	f.IntVar(&o.nodes, "nodes", 3, "its nodes")
	f.BoolVar(&o.keep, "keep", false, "leave the cluster up")
	f.IntVar(&o.pods, "pods", 3000, "pods that are created with the hook, and as many without")
	f.IntVar(&o.sessions, "sessions", 20, "sessions whose start is measured")
	f.IntVar(&o.repeat, "repeat", 5, "repetitions of each pair of backups")
	f.IntVar(&o.large, "large", 512, "MiB of the set of large files")
	f.IntVar(&o.small, "small", 50_000, "files of the set of small files")
	f.DurationVar(&o.idle, "idle", time.Minute, "how long an agent is left alone before its memory is read")
	if err := f.Parse(args); err != nil {
		return o, fmt.Errorf("read flags: %w", err)
	}
	var set []string
	f.Visit(func(flag *flag.Flag) {
		if flag.Name != "benchstat" && flag.Value.String() != flag.DefValue { // that is a path of this machine
			set = append(set, "-"+flag.Name+"="+flag.Value.String())
		}
	})
	o.command = "make bench"
	if len(set) > 0 {
		o.command += " BENCH='" + strings.Join(set, " ") + "'"
	}
	return o, nil
}

// wants tells whether a part was asked for.
func (o options) wants(parts ...string) bool {
	for part := range strings.SplitSeq(o.only, ",") {
		for _, p := range parts {
			if strings.TrimSpace(part) == p {
				return true
			}
		}
	}
	return false
}

func (o options) logf(format string, args ...any) {
	fmt.Fprintf(o.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := newReport(o.command)
	if o.wants("handler") {
		err = podHandler(ctx, o, r)
	}
	if err == nil && o.wants("admission", "idle", "start", "job", "large", "small") {
		err = onCluster(ctx, o, r)
	}
	// What was measured before something failed is worth reading.
	return errors.Join(err, r.print(out))
}

// onCluster measures what needs one.
func onCluster(ctx context.Context, o options, r *report) (err error) {
	s, remove, err := newSite(ctx, o)
	defer func() { err = errors.Join(err, remove()) }()
	if err != nil {
		return err
	}
	targets, err := s.targets(ctx)
	if err != nil {
		return err
	}
	r.about("restic", s.resticVersion(ctx, targets[0]))
	memory := &idleMemory{}
	if o.wants("idle") {
		if err := memory.measure(ctx, s, targets, "after the start"); err != nil {
			return err
		}
	}
	if o.wants("admission") {
		if err := addedLatency(ctx, s, targets[0], r); err != nil {
			return err
		}
	}
	if o.wants("start") {
		if err := sessionStart(ctx, s, targets[0], r); err != nil {
			return err
		}
	}
	if o.wants("job") {
		if err := jobStart(ctx, s, targets[0], r); err != nil {
			return err
		}
	}
	for _, t := range targets[1:] {
		if err := againstRestic(ctx, s, t, r); err != nil {
			return err
		}
	}
	if o.wants("idle") {
		if err := memory.measure(ctx, s, targets, "after backups"); err != nil {
			return err
		}
		memory.report(r)
	}
	return nil
}
