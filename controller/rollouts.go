package controller

import (
	"maps"
	"sync"
	"time"
)

// Rollouts counts the workloads that are rolled out because of us.
type Rollouts struct {
	mu        sync.Mutex
	now       map[string]time.Time // since when, by workload
	withdrawn map[string]string    // what was taken back, by workload
	evictions map[string]time.Time // the last one, by workload
}

// rolloutLimit is how long a rollout keeps others waiting: one may stand still for reasons of its own.
const rolloutLimit = 15 * time.Minute

// withdraw remembers that a plan was taken back from a workload; it is not tried again by this
// process unless the plan or the image changes.
func (r *Rollouts) withdraw(key, plan string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.withdrawn == nil {
		r.withdrawn = map[string]string{}
	}
	r.withdrawn[key] = plan
	delete(r.now, key)
}

func (r *Rollouts) isWithdrawn(key, plan string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.withdrawn[key] == plan
}

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

// evicted remembers that a pod of a workload was evicted.
func (r *Rollouts) evicted(key string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.evictions == nil {
		r.evictions = map[string]time.Time{}
	}
	r.evictions[key] = now
}

// useless tells whether another eviction would help nobody: this pod came after the last one and
// missed the sidecar, too. After a while it is tried again.
func (r *Rollouts) useless(key string, created, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.evictions[key]
	return ok && !created.Before(last.Truncate(time.Second)) && now.Sub(last) < evictAgain
}

// forget drops a workload that is gone.
func (r *Rollouts) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, key)
	delete(r.withdrawn, key)
	delete(r.evictions, key)
}

func (r *Rollouts) end(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, key)
}
