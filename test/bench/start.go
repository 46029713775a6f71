package main

import (
	"context"
	"fmt"
	"time"
)

// startBudget is BackupSession created → restic running, sidecar model.
const startBudget = time.Second

// sessionStart measures how long sessions take to start, one after the other.
func sessionStart(ctx context.Context, s *site, t *target, r *report) error {
	var all []course
	for i := range s.sessions + 1 {
		c, err := t.session(ctx)
		if err != nil {
			return err
		}
		if i == 0 {
			continue // the first one fills caches
		}
		s.logf("session %d of %d: restic after %s, its backup after %s, all after %s", i, s.sessions,
			milliseconds(c.opened.Sub(c.asked)), milliseconds(c.running.Sub(c.asked)), milliseconds(c.ended.Sub(c.asked)))
		all = append(all, c)
	}
	step := func(from, to func(course) time.Time) []time.Duration {
		return each(all, func(c course) time.Duration { return to(c).Sub(from(c)) })
	}
	asked := func(c course) time.Time { return c.asked }
	opened := func(c course) time.Time { return c.opened }
	running := func(c course) time.Time { return c.running }
	total := step(asked, opened)
	backup := step(asked, running)
	within := func(times []time.Duration) bool { return quantile(times, 0.95) <= startBudget }
	figure := func(times []time.Duration) string {
		return "median " + milliseconds(median(times)) + ", p95 " + milliseconds(quantile(times, 0.95))
	}
	r.budget("BackupSession created → first restic running, sidecar", "≤ 1 s", figure(total), within(total))
	r.budget("the same, → `restic backup` running", "≤ 1 s", figure(backup), within(backup))

	stored := func(c course) time.Time { return c.stored }
	assigned := func(c course) time.Time { return c.assigned }
	taken := func(c course) time.Time { return c.taken }
	detail := table{title: fmt.Sprintf("Session start: %d sessions", len(all)), head: []string{"step", "median", "p95"}}
	for _, row := range []struct {
		what  string
		times []time.Duration
	}{
		{"request to create → API server's answer (admission included)", step(asked, stored)},
		{"→ status names the pod", step(stored, assigned)},
		{"→ agent's \"task starts\"", step(assigned, taken)},
		{"→ first restic (it opens the repository)", step(taken, opened)},
		{"**all: request → first restic**", total},
		{"→ `restic backup`", step(opened, running)},
		{"**all: request → `restic backup`**", backup},
	} {
		detail.rows = append(detail.rows, []string{row.what, milliseconds(median(row.times)), milliseconds(quantile(row.times, 0.95))})
	}
	r.detail(detail)
	return nil
}
