package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
)

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

// oneCatchUp lets two ticks pass while nobody is there. The third is most of an hour away, so that
// whatever session there is was made for one that was missed.
func oneCatchUp(s *site) {
	s.byHand()
	first := time.Now().Add(90 * time.Second).Truncate(time.Minute) // in half a minute or more
	second := first.Add(time.Minute)
	s.kubectl("patch", "backupconfiguration", "conf", "--type=merge", fmt.Sprintf(`--patch={"spec":{"schedule":"%d,%d %d,%d * * *"}}`,
		first.UTC().Minute(), second.UTC().Minute(), first.UTC().Hour(), second.UTC().Hour()))
	var gone time.Time
	s.withoutOperator(func() {
		gone = time.Now()
		s.eventually(long+time.Minute, "two ticks are missed", func(context.Context) error {
			if left := time.Until(second); left > 0 {
				return notYet("%s are left", left)
			}
			return nil
		})
	})
	s.scheduled("conf", gone)
	at, err := s.slots(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	// The first is there where it came before the operator was gone, which a slow machine may need.
	at = slices.DeleteFunc(at, func(slot time.Time) bool { return slot.Equal(first) && first.Before(gone) })
	if len(at) != 1 || !at[0].Equal(second) {
		s.Errorf("sessions were made for %v, and of those missed only the last, %s, is to be caught up", at, second)
	}
}
