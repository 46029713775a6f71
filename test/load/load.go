// Package load asks the same things of an API server again and again, at a steady pace, and counts how
// it answers. It is bounded in time, in number, and in what is under way at once: what would come
// while there is no room is skipped and counted, so that a server that hangs is not buried.
package load

import (
	"context"
	"sync"
	"time"
)

// Request is one kind of request.
type Request struct {
	// Name in the report.
	Name string
	// Rate is how many begin in a second.
	Rate float64
	// Do makes the i-th one. whole tells whether the answer has all that it should have; it counts only
	// without an error.
	Do func(ctx context.Context, i int) (whole bool, err error)
}

// Bounds limit each kind of request.
type Bounds struct {
	// Time after which none begins. Those under way are waited for.
	Time time.Duration
	// Count is the largest number.
	Count int
	// AtOnce is how many may be under way.
	AtOnce int
	// Patience is how long one may take.
	Patience time.Duration
}

// Run makes the requests until ctx ends or their bounds are reached, and returns the figures of each
// kind, in order, once all have been answered.
func Run(ctx context.Context, b Bounds, requests ...Request) []Figures {
	ctx, cancel := context.WithTimeout(ctx, b.Time)
	defer cancel()
	out := make([]Figures, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() { out[i] = r.run(ctx, b) })
	}
	all.Wait()
	return out
}

func (r *Request) run(ctx context.Context, b Bounds) Figures {
	f := Figures{Name: r.Name, Errors: map[string]int{}}
	if r.Rate <= 0 {
		return f
	}
	var mutex sync.Mutex
	var under sync.WaitGroup
	room := make(chan struct{}, b.AtOnce)
	begin := time.Now()
	tick := time.NewTicker(time.Duration(float64(time.Second) / r.Rate))
	defer tick.Stop()
	for i := 0; i < b.Count; i++ {
		select {
		case <-ctx.Done():
			under.Wait()
			return f
		case <-tick.C:
		}
		select {
		case room <- struct{}{}:
		default:
			mutex.Lock()
			f.Skipped++
			mutex.Unlock()
			continue
		}
		under.Go(func() {
			defer func() { <-room }()
			// One that has begun is waited for, also when no other begins any more.
			one, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.Patience)
			defer cancel()
			at := time.Now()
			whole, err := r.Do(one, i)
			took := time.Since(at)
			mutex.Lock()
			defer mutex.Unlock()
			f.add(at.Sub(begin), took, whole, err)
		})
	}
	under.Wait()
	return f
}
