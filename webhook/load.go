package webhook

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-731df569/stash/guard"
)

// Who can reach our port can send us requests: the API server does not prove that it is one. So what
// is held of them at the same time is bounded, in number and in bytes, and one address does not get
// all of it.
const (
	// atOnce requests are worked on at the same time, perAddress of them from one address.
	atOnce, perAddress = 512, 256
	// smallBody is what each of them may hold without asking; nearly all pods and workloads are smaller.
	smallBody = 128 << 10
	// largeBodies is the room for all larger ones together.
	largeBodies = 8 * maxBody
	// queueing is how long a request waits for room: less than any hook's time.
	queueing = 500 * time.Millisecond
)

var errBusy = errors.New("too many admission requests at the same time; try again in a second")

// load is what the handlers of one server share.
type load struct {
	gate  *guard.Gate
	large *semaphore.Weighted
}

func newLoad() *load {
	return &load{gate: guard.NewGate(atOnce, perAddress), large: semaphore.NewWeighted(largeBodies)}
}

// enter waits for room for a request; leave gives it back.
func (l *load) enter(ctx context.Context, r *http.Request) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, queueing)
	defer cancel()
	address, size := guard.AddressOf(r.RemoteAddr), r.ContentLength
	if size > maxBody {
		return nil, errTooLarge
	}
	if err := l.gate.Enter(ctx, address); err != nil {
		return nil, errBusy
	}
	if size < 0 {
		size = maxBody // a length that is not told may be any
	}
	if size <= smallBody {
		return func() { l.gate.Leave(address) }, nil
	}
	if err := l.large.Acquire(ctx, size); err != nil {
		l.gate.Leave(address)
		return nil, errBusy
	}
	return func() { l.large.Release(size); l.gate.Leave(address) }, nil
}
