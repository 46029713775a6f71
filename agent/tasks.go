package agent

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

// maxParallel is how many restics run at once: each of them may take some hundred megabytes.
const maxParallel = 4

// tasks are those that are worked on or wait for their turn.
type tasks struct {
	agent *agent

	mu      sync.Mutex
	running map[string]*running
	queue   []*running
	closed  bool
	idleAt  time.Time
	wait    sync.WaitGroup
}

type running struct {
	task   protocol.Task
	ctx    context.Context //nolint:containedctx // it is the task's life, from its arrival on
	cancel context.CancelCauseFunc
	free   func() // releases what watches ctx
}

func newTasks(a *agent) *tasks {
	return &tasks{agent: a, running: map[string]*running{}, idleAt: time.Now()}
}

// start takes a task unless it is known already: the broker may say things twice.
func (t *tasks) start(task protocol.Task) {
	if slices.Contains(t.ids(), task.ID) || slices.Contains(t.agent.outbox.unacknowledged(), task.ID) {
		t.agent.Log.Info("task is known already", "task", task.ID)
		return
	}
	r := &running{task: task}
	ctx := context.Background()
	stop := func() {}
	if !task.Deadline.IsZero() {
		ctx, stop = context.WithDeadline(ctx, task.Deadline)
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	// A task that ends while it waits for its turn gets its turn: to say so.
	unwatch := context.AfterFunc(r.ctx, t.schedule)
	r.free = func() {
		unwatch()
		r.cancel(nil)
		stop()
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		r.free()
		return
	}
	t.queue = append(t.queue, r)
	t.mu.Unlock()
	t.schedule()
}

// schedule starts what may start.
func (t *tasks) schedule() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = slices.DeleteFunc(t.queue, func(r *running) bool {
		if r.ctx.Err() == nil && (len(t.running) >= maxParallel || t.busy(r.task)) {
			return false
		}
		t.running[r.task.ID] = r
		t.wait.Go(func() { t.run(r) })
		return true
	})
}

// busy tells whether a worker works on the same repository already.
func (t *tasks) busy(task protocol.Task) bool {
	if t.agent.Role != protocol.RoleWorker {
		return false
	}
	for _, r := range t.running {
		if r.task.Repository.URL == task.Repository.URL {
			return true
		}
	}
	return false
}

func (t *tasks) run(r *running) {
	log := t.agent.Log.With("task", r.task.ID)
	log.Info("task starts")
	t.agent.outbox.accept(r.task.ID)
	result := t.agent.do(r.ctx, r.task)
	r.free()
	if result.Error != "" {
		log.Error("task failed", "reason", string(result.Reason), "err", result.Error, "duration", result.Duration.String())
	} else {
		log.Info("task is done", "duration", result.Duration.String())
	}
	t.agent.store.save(result)
	// Known as running until it is known as finished: Hello must name it at any time.
	t.agent.finished(result)
	t.mu.Lock()
	delete(t.running, r.task.ID)
	t.idleAt = time.Now()
	t.mu.Unlock()
	releaseMemory()
	t.schedule()
}

func (t *tasks) cancel(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.running[id]; r != nil {
		r.cancel(errCanceled)
		return
	}
	for _, r := range t.queue {
		if r.task.ID == id {
			r.cancel(errCanceled)
		}
	}
}

// ids are those of all tasks, also of those that wait.
func (t *tasks) ids() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := slices.Sorted(maps.Keys(t.running))
	for _, r := range t.queue {
		ids = append(ids, r.task.ID)
	}
	return ids
}

// idle is how long there has been no task.
func (t *tasks) idle() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.running)+len(t.queue) > 0 {
		return 0
	}
	return time.Since(t.idleAt)
}

// takeNone makes start ignore what comes.
func (t *tasks) takeNone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// close stops all tasks and waits for their ends.
func (t *tasks) close() {
	t.takeNone()
	t.mu.Lock()
	for _, r := range append(slices.Collect(maps.Values(t.running)), t.queue...) {
		r.cancel(errStopped)
	}
	t.mu.Unlock()
	t.schedule()
	t.wait.Wait()
}
