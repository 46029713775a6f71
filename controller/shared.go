package controller

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// lookLimit bounds a look that several wait for: none of them can end it.
const lookLimit = 15 * time.Second

// shared answers one question, which many ask, with one look at a time. Who asks while a look is under way
// gets the answer of the next one, together with all others who do: a look always begins after the
// question, and so no answer is older than its question. The zero value is ready; the answer is not to be
// changed.
type shared[T any] struct {
	mu      sync.Mutex
	looking bool
	next    *look[T]
}

// look is one that some wait for.
type look[T any] struct {
	how    func(context.Context) (T, error)
	done   chan struct{}
	answer T
	err    error
}

// ask returns the answer of the next look, or the end of the asker's patience.
func (s *shared[T]) ask(ctx context.Context, how func(context.Context) (T, error)) (T, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &look[T]{how: how, done: make(chan struct{})}
	}
	mine := s.next
	if !s.looking {
		s.looking = true
		go s.look(context.WithoutCancel(ctx))
	}
	s.mu.Unlock()
	select {
	case <-mine.done:
		return mine.answer, mine.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("wait for the API server: %w", ctx.Err())
	}
}

// look looks for those who wait, until nobody does.
func (s *shared[T]) look(ctx context.Context) {
	for {
		s.mu.Lock()
		l := s.next
		s.next, s.looking = nil, l != nil
		s.mu.Unlock()
		if l == nil {
			return
		}
		limited, cancel := context.WithTimeout(ctx, lookLimit)
		l.answer, l.err = l.how(limited)
		cancel()
		close(l.done)
	}
}
