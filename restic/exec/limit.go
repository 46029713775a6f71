package exec

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-731df569/stash/restic"
)

// earlyRetries is after how many attempts with an answer that will not change a run is given up:
// about four seconds.
const earlyRetries = 3

var (
	// errLimit is the cause of a run that took longer than its limit.
	errLimit = errors.New("time limit reached")
	// errGivenUp is the cause of a run whose backend has said no often enough.
	errGivenUp = errors.New("given up")
)

// limit ends a run, see Command.Limit and Command.OpenLimit.
type limit struct {
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	watching bool
	late     bool
	retrying bool
	timers   []*time.Timer
}

func newLimit(c Command, cancel context.CancelCauseFunc) *limit {
	l := &limit{cancel: cancel, watching: c.Limit > 0 || c.OpenLimit > 0}
	if c.OpenLimit > 0 {
		l.timers = append(l.timers, time.AfterFunc(c.OpenLimit, l.expire))
	}
	if c.Limit > 0 {
		l.timers = append(l.timers,
			time.AfterFunc(c.Limit, l.expire),
			time.AfterFunc(2*c.Limit, func() { cancel(errLimit) }))
	}
	return l
}

func (l *limit) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = true
	if l.watching && l.retrying {
		l.cancel(errLimit)
	}
}

// heard looks at what restic has said so far.
func (l *limit) heard(s *restic.Stderr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.watching || s.Retries == 0 {
		return
	}
	if s.Retries >= earlyRetries && restic.Classify(restic.ExitFailed, s.LastRetry).Definitive() {
		l.cancel(errGivenUp)
	}
	l.retrying = true
	if l.late {
		l.cancel(errLimit)
	}
}

// opened is called with the first line of the output of a run that moves data: the backend has
// answered, and what it refuses from now on is restic's to try again.
func (l *limit) opened() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watching = false
}

func (l *limit) stop() {
	for _, timer := range l.timers {
		timer.Stop()
	}
}
