package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The pod hook's budget, from the request's body to the response.
const (
	handlerTime   = 150 * time.Microsecond
	handlerBytes  = 16 << 10
	handlerAllocs = 100
)

// podHandler runs the benchmarks of package webhook and reads their medians from benchstat.
func podHandler(ctx context.Context, o options, r *report) (err error) {
	o.logf("pod handler: %d runs of %s", o.count, o.benchtime)
	dir, err := os.MkdirTemp("", "stash-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out, err := output(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(PodHandler|DecodedPod)$", "-benchmem",
		"-count", strconv.Itoa(o.count), "-benchtime", o.benchtime, "./webhook")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "webhook")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		return fmt.Errorf("write output of benchmarks: %w", err)
	}
	if out, err = output(ctx, o.benchstat, "-format", "csv", file); err != nil {
		return err
	}
	m := parseBenchstat(out)
	ours := m["PodHandler"]
	beyond := ours["B/op"] - ours["body-bytes"]
	if ours["sec/op"] == 0 || beyond <= 0 {
		return fmt.Errorf("read benchstat's table: no figures of the pod handler in %q", out)
	}
	r.budget("pod hook, 20 KB pod, body to response", "≤ 0.15 ms, ≤ 16 KB beyond the body, ≤ 100 allocations",
		fmt.Sprintf("%.3f ms, %.1f KB, %.0f allocations", ours["sec/op"]*1e3, beyond/1e3, ours["allocs/op"]),
		ours["sec/op"] <= handlerTime.Seconds() && beyond <= handlerBytes && ours["allocs/op"] <= handlerAllocs)
	t := table{title: fmt.Sprintf("Pod handler: medians of %d runs", o.count), head: []string{"", "time", "memory", "allocations"}}
	for _, row := range [][2]string{{"PodHandler", "the hook"}, {"DecodedPod", "decoding and encoding the same pod alone"}} {
		v := m[row[0]]
		t.rows = append(t.rows, []string{
			row[1], fmt.Sprintf("%.3f ms", v["sec/op"]*1e3), fmt.Sprintf("%.1f KB", v["B/op"]/1e3), fmt.Sprintf("%.0f", v["allocs/op"]),
		})
	}
	t.rows = append(t.rows, []string{"of which the body itself", "", fmt.Sprintf("%.1f KB", ours["body-bytes"]/1e3), ""})
	r.detail(t)
	return nil
}

// parseBenchstat reads benchstat's CSV: for each unit a head "…,unit,CI" and a row for each
// benchmark. It returns the medians by benchmark, without the number of processors, and unit.
func parseBenchstat(text string) map[string]map[string]float64 {
	medians := map[string]map[string]float64{}
	var unit string
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), ",")
		if len(cells) < 3 {
			continue
		}
		if cells[0] == "" {
			unit = cells[1]
			continue
		}
		value, err := strconv.ParseFloat(cells[1], 64)
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(cells[0], "-")
		if medians[name] == nil {
			medians[name] = map[string]float64{}
		}
		medians[name][unit] = value
	}
	return medians
}

// output runs a program and returns what it prints.
func output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the Go command and benchstat
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s%s", filepath.Base(program), err, out, stderr.Bytes())
	}
	return string(out), nil
}
