package controller

import (
	"maps"
	"sync"
	"time"
)

// Rollouts counts the workloads that are rolled out because of us.
type Rollouts struct {
	mu  sync.Mutex
	now map[string]time.Time // since when, by workload
}

// rolloutLimit is how long a rollout keeps others waiting: one may stand still for reasons of its own.
const rolloutLimit = 15 * time.Minute

// begin counts a workload, unless limit are under way already.
func (r *Rollouts) begin(key string, limit int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil {
		r.now = map[string]time.Time{}
	}
	maps.DeleteFunc(r.now, func(_ string, since time.Time) bool { return now.Sub(since) > rolloutLimit })
	if _, has := r.now[key]; !has && len(r.now) >= limit {
		return false
	}
	r.now[key] = now
	return true
}

// end makes room for another workload.
func (r *Rollouts) end(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, key)
}
