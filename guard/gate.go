package guard

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Gate bounds what is done at the same time. Who finds it full waits; nobody of an address waits for
// the whole while that address does as much as it may.
type Gate struct {
	total      *semaphore.Weighted
	perAddress int64

	mu        sync.Mutex
	addresses map[netip.Addr]*share
}

// share is what one address has of a Gate.
type share struct {
	*semaphore.Weighted
	users int
}

// NewGate lets total pass at the same time, perAddress of them of one address.
func NewGate(total, perAddress int64) *Gate {
	return &Gate{total: semaphore.NewWeighted(total), perAddress: perAddress, addresses: map[netip.Addr]*share{}}
}

// Enter waits for room until ctx ends, whose error it then returns. Who has entered must Leave.
func (g *Gate) Enter(ctx context.Context, a netip.Addr) error {
	g.mu.Lock()
	s := g.addresses[a]
	if s == nil {
		s = &share{Weighted: semaphore.NewWeighted(g.perAddress)}
		g.addresses[a] = s
	}
	s.users++
	g.mu.Unlock()
	if err := s.Acquire(ctx, 1); err != nil {
		g.drop(a, s)
		return err //nolint:wrapcheck // it is the context's
	}
	if err := g.total.Acquire(ctx, 1); err != nil {
		s.Release(1)
		g.drop(a, s)
		return err //nolint:wrapcheck // it is the context's
	}
	return nil
}

// Leave makes room for the next.
func (g *Gate) Leave(a netip.Addr) {
	g.mu.Lock()
	s := g.addresses[a]
	g.mu.Unlock()
	g.total.Release(1)
	s.Release(1)
	g.drop(a, s)
}

func (g *Gate) drop(a netip.Addr, s *share) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(g.addresses, a)
	}
}
