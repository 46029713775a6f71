package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
)

// idleBudget is what an idle agent may hold in memory.
const idleBudget = 20 << 20

// idleMemory is the resident memory of agents that wait for work.
type idleMemory struct {
	rows    [][]string
	largest int64
}

// measure leaves the agents alone for a while and reads what they hold: the program's own pages,
// which the kernel may drop and all agents of a node share, and the rest.
func (m *idleMemory) measure(ctx context.Context, s *site, targets []*target, when string) error {
	s.logf("memory of idle agents %s: they are left alone for %s", when, s.idle)
	if err := pause(ctx, s.idle); err != nil {
		return err
	}
	var total, private []int64
	for _, t := range targets {
		p, err := t.ours.agent()
		if err != nil {
			return err
		}
		resident, err1 := statusBytes(p.pid, "VmRSS")
		anonymous, err2 := statusBytes(p.pid, "RssAnon")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		total, private = append(total, resident), append(private, anonymous)
	}
	m.largest = max(m.largest, slices.Max(total))
	m.rows = append(m.rows, []string{when, mebibytes(median(total)), mebibytes(slices.Max(total)), mebibytes(median(private))})
	return nil
}

func (m *idleMemory) report(r *report) {
	r.budget("idle agent, resident memory", "≤ 20 MiB", mebibytes(m.largest)+" at most", m.largest <= idleBudget)
	r.detail(table{
		title: "Idle agents: resident memory",
		head:  []string{"", "median", "largest", "without the program's own pages, median"},
		rows:  m.rows,
	})
}

// statusBytes reads a figure of /proc/PID/status.
func statusBytes(pid int, name string) (int64, error) {
	value := field(fmt.Sprintf("/proc/%d/status", pid), name)
	var kib int64
	if n, err := fmt.Sscanf(value, "%d kB", &kib); n != 1 {
		return 0, errors.Join(fmt.Errorf("read memory of process %d: %s is %q", pid, name, value), err, os.ErrInvalid)
	}
	return kib << 10, nil
}
