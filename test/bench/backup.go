package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// backupBudget is how much of plain restic's wall time and CPU a backup of ours may take.
const backupBudget = 1.05

// cost is that of one backup.
type cost struct {
	wall, cpu time.Duration
	// session is from the request to the session's end, agent the CPU of the agent alone; both of
	// ours only.
	session, agent time.Duration
}

// pair is the same backup made by both, one right after the other.
type pair struct{ plain, ours cost }

// againstRestic backs the same data up with plain restic and with Stash, in alternating order: a
// first backup and one after a change, each time from empty repositories on.
func againstRestic(ctx context.Context, s *site, t *target, r *report) error {
	kinds := []string{"first", "second"}
	pairs := map[string][]pair{}
	for n := range s.repeat {
		if err := t.emptied(); err != nil {
			return err
		}
		for k, kind := range kinds {
			if k > 0 {
				if err := t.set.alter(t.data, uint64(2+n)); err != nil {
					return err
				}
			}
			p, err := t.both(ctx, n%2 == 0)
			if err != nil {
				return err
			}
			s.logf("%s, %s backup, %d of %d: plain %s (CPU %s), ours %s (CPU %s), session %s", t.name, kind, n+1, s.repeat,
				seconds(p.plain.wall), seconds(p.plain.cpu), seconds(p.ours.wall), seconds(p.ours.cpu), seconds(p.ours.session))
			pairs[kind] = append(pairs[kind], p)
		}
	}
	detail := table{
		title: fmt.Sprintf("Backup against plain restic: %s; medians of %d", t.set.title, s.repeat),
		head: []string{
			"backup", "plain: time", "ours: time", "ratio (each pair)", "plain: CPU", "ours: CPU", "of it the agent", "ratio (each pair)", "session, request to end",
		},
	}
	for _, kind := range kinds {
		detail.rows = append(detail.rows, compare(kind, t, pairs[kind], r))
	}
	opening, err := t.opening(ctx)
	if err != nil {
		return err
	}
	detail.rows = append(detail.rows, opening)
	r.detail(detail)
	return nil
}

// opening is what a restic costs that only opens the repository: every run of restic begins with it.
func (t *target) opening(ctx context.Context) ([]string, error) {
	var all []cost
	for range t.repeat {
		c, err := t.plainRestic(ctx, "cat", "--no-lock", "config")
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	wall := median(each(all, func(c cost) time.Duration { return c.wall }))
	cpu := median(each(all, func(c cost) time.Duration { return c.cpu }))
	return []string{"`restic cat config` alone", seconds(wall), "", "", seconds(cpu), "", "", "", ""}, nil
}

// both makes one pair.
func (t *target) both(ctx context.Context, plainFirst bool) (p pair, err error) {
	steps := []func() error{
		func() (err error) { p.plain, err = t.plainBackup(ctx); return err },
		func() (err error) { p.ours, err = t.ourBackup(ctx); return err },
	}
	if !plainFirst {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// compare adds a line for the budget and returns that of the table.
func compare(kind string, t *target, pairs []pair, r *report) []string {
	ratios := func(figure func(cost) time.Duration) []float64 {
		return each(pairs, func(p pair) float64 { return figure(p.ours).Seconds() / figure(p.plain).Seconds() })
	}
	middle := func(figure func(pair) time.Duration) string { return seconds(median(each(pairs, figure))) }
	wall := ratios(func(c cost) time.Duration { return c.wall })
	cpu := ratios(func(c cost) time.Duration { return c.cpu })
	r.budget(fmt.Sprintf("%s backup against plain restic, %s", kind, t.set.title), "time and CPU ≤ 1.05×",
		fmt.Sprintf("time %.2f×, CPU %.2f×", median(wall), median(cpu)),
		median(wall) <= backupBudget && median(cpu) <= backupBudget)
	return []string{
		kind,
		middle(func(p pair) time.Duration { return p.plain.wall }),
		middle(func(p pair) time.Duration { return p.ours.wall }),
		fmt.Sprintf("%.2f× (%s)", median(wall), joined(wall)),
		middle(func(p pair) time.Duration { return p.plain.cpu }),
		middle(func(p pair) time.Duration { return p.ours.cpu }),
		middle(func(p pair) time.Duration { return p.ours.agent }),
		fmt.Sprintf("%.2f× (%s)", median(cpu), joined(cpu)),
		middle(func(p pair) time.Duration { return p.ours.session }),
	}
}

func joined(ratios []float64) string {
	return strings.Join(each(ratios, func(r float64) string { return fmt.Sprintf("%.2f", r) }), " ")
}

// ourBackup takes a session. Its time is that from the agent's taking of the task to its result.
func (t *target) ourBackup(ctx context.Context) (cost, error) {
	c, err := t.session(ctx)
	return cost{wall: c.task, cpu: c.cpu, agent: c.agent, session: c.ended.Sub(c.asked)}, err
}

// plainBackup runs restic by hand in the container beside the sidecar.
func (t *target) plainBackup(ctx context.Context) (cost, error) {
	return t.plainRestic(ctx, "backup", "--host=host-0", "/data")
}

// timed runs restic between two looks at the clock. It waits for a line before and after, so that the
// CPU time of getting into the container and out of it does not count.
const timed = `echo ready; read -r line; date +%s%N; restic "$@" >/dev/null; code=$?; date +%s%N; echo "$code"; read -r line`

// plainRestic runs a command of restic in the container beside the sidecar.
func (t *target) plainRestic(ctx context.Context, args ...string) (c cost, err error) {
	cmd := t.kubectl.Cmd(ctx, slices.Concat([]string{
		"exec", "--stdin", "--namespace=" + namespace, "--container=plain", t.pod.Name, "--", "sh", "-c", timed, "sh",
	}, args)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return c, fmt.Errorf("run plain restic: %w", err)
	}
	lines := bufio.NewScanner(out)
	c, err = t.time(in, lines)
	_ = in.Close() // the script ends with it
	for lines.Scan() {
		continue // Wait must not close the pipe before its end
	}
	if waitErr := cmd.Wait(); err != nil {
		return c, fmt.Errorf("run plain restic: %w: %s", errors.Join(err, waitErr), stderr.Bytes())
	}
	return c, nil
}

// time leads the script timed.
func (t *target) time(in io.Writer, lines *bufio.Scanner) (c cost, err error) {
	if !lines.Scan() || lines.Text() != "ready" {
		return c, fmt.Errorf("it is not ready: %q", lines.Text())
	}
	before, err := t.plain.cpu()
	if err != nil {
		return c, err
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		return c, err
	}
	var said [3]int64 // begin, end, exit code
	for i := range said {
		lines.Scan()
		if said[i], err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			return c, err
		}
	}
	after, err := t.plain.cpu()
	if err == nil && said[2] != 0 {
		err = fmt.Errorf("exit code %d", said[2])
	}
	return cost{wall: time.Duration(said[1] - said[0]), cpu: after - before}, err
}

// plainShell runs a script in the container of plain restic.
func (t *target) plainShell(ctx context.Context, script string) (string, error) {
	return t.kubectl.Run(ctx, "", "exec", "--namespace="+namespace, "--container=plain", t.pod.Name, "--", "sh", "-c", script)
}
