package e2e_test

import (
	"context"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// every is the time between two ticks of the test's schedule.
const every = 15 * time.Second

// slots returns the times of the schedule that sessions were made for: their names end in them.
func (s *site) slots(ctx context.Context) ([]time.Time, error) {
	all := &v1beta1.BackupSessionList{}
	if err := suite.client.List(ctx, all, client.InNamespace(s.ns)); err != nil {
		return nil, err
	}
	var at []time.Time
	for i := range all.Items {
		name := all.Items[i].Name
		n, err := strconv.ParseInt(name[strings.LastIndexByte(name, '-')+1:], 10, 64)
		if err != nil {
			return nil, final{err}
		}
		at = append(at, time.Unix(n, 0))
	}
	return at, nil
}

// oneCatchUp lets at least two ticks pass while nobody is there.
func oneCatchUp(s *site) {
	s.byHand(vars{"Schedule": "@every " + every.String(), "History": 50})
	s.scheduled("conf", time.Now())
	var gone, back time.Time
	s.withoutOperator(func() {
		gone = time.Now()
		s.eventually(long, "two ticks and a half are missed", func(context.Context) error {
			if left := time.Until(gone.Add(every * 5 / 2)); left > 0 {
				return notYet("%s are left", left)
			}
			return nil
		})
		back = time.Now()
	})
	s.scheduled("conf", time.Now().Add(every))
	s.kubectl("patch", "backupconfiguration", "conf", "--type=merge", `--patch={"spec":{"paused":true}}`)
	at, err := s.slots(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	caught := 0
	seen := map[time.Time]int{}
	for _, slot := range at {
		if seen[slot]++; seen[slot] > 1 {
			s.Errorf("slot %s was run twice", slot)
		}
		// The leader of before may have stopped a little before it was gone.
		if slot.After(gone) && slot.Before(back) {
			caught++
			if slot.Before(back.Add(-every)) {
				s.Errorf("slot %s was caught up, and a later one was missed", slot)
			}
		}
	}
	if caught > 1 {
		s.Errorf("%d missed ticks were caught up: %v", caught, at)
	}
	if len(at) < 3 {
		s.Errorf("%d sessions in all: %v", len(at), at)
	}
}
