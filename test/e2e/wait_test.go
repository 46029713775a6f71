package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// soon is how long what needs no pod may take, and a pod's start on a busy machine.
	soon = 60 * time.Second
	// long is how long a session may take.
	long = 120 * time.Second
	// longest is how long a session may take to find out that its pod is lost: all of limits()
	// one after the other.
	longest = 180 * time.Second
)

// final is an error after which waiting is in vain.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// eventually polls a check until it has no complaint, and fails the test with the last one.
func (s *site) eventually(limit time.Duration, what string, check func(context.Context) error) {
	s.Helper()
	begin := time.Now()
	var last error
	err := wait.PollUntilContextTimeout(s.Context(), 300*time.Millisecond, limit, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if err != nil && ctx.Err() != nil {
			return false, ctx.Err() // a request that was cut off says nothing
		}
		if last = err; last == nil {
			return true, nil
		}
		if _, over := errors.AsType[final](last); over {
			return false, last
		}
		return false, nil
	})
	took := time.Since(begin).Round(100 * time.Millisecond)
	if err != nil {
		s.Fatalf("%s: not after %s: %v", what, took, last)
	}
	s.Logf("%s: after %s", what, took)
}

// never fails the test if a check has no complaint at any time within a period.
func (s *site) never(period time.Duration, what string, check func(context.Context) error) {
	s.Helper()
	err := wait.PollUntilContextTimeout(s.Context(), 300*time.Millisecond, period, true, func(ctx context.Context) (bool, error) {
		return check(ctx) == nil, nil
	})
	if err == nil {
		s.Fatalf("%s: it did happen", what)
	}
}

func notYet(format string, args ...any) error { return fmt.Errorf(format, args...) }
