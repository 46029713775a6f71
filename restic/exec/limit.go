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

// limit ends a run, see Command.Limit.
type limit struct {
	limited bool
	cancel  context.CancelCauseFunc

	mu       sync.Mutex
	late     bool
	retrying bool
	timers   []*time.Timer
}

func newLimit(d time.Duration, cancel context.CancelCauseFunc) *limit {
	l := &limit{limited: d > 0, cancel: cancel}
	if !l.limited {
		return l
	}
	l.timers = []*time.Timer{
		time.AfterFunc(d, l.expire),
		time.AfterFunc(2*d, func() { cancel(errLimit) }),
	}
	return l
}

func (l *limit) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = true
	if l.retrying {
		l.cancel(errLimit)
	}
}

// heard looks at what restic has said so far.
func (l *limit) heard(s *restic.Stderr) {
	if !l.limited || s.Retries == 0 {
		return
	}
	if s.Retries >= earlyRetries && restic.Classify(restic.ExitFailed, s.LastRetry).Definitive() {
		l.cancel(errGivenUp)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retrying = true
	if l.late {
		l.cancel(errLimit)
	}
}

func (l *limit) stop() {
	for _, timer := range l.timers {
		timer.Stop()
	}
}
