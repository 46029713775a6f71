package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

// errStopped is the cause of tasks that end because the agent ends.
var errStopped = errors.New("the agent's container is being stopped")

// errCanceled is the cause of tasks that the broker has cancelled.
var errCanceled = errors.New("canceled by the operator")

// agent is one run.
type agent struct {
	Config
	store  *store
	outbox *outbox
	tasks  *tasks
	// over gets the outcome of a run that ends by itself.
	over chan error
	// outcomes of results, by task: that of an agent with one task is its own.
	mu       sync.Mutex
	outcomes map[string]error
	said     saidBefore
}

// Run works until ctx ends, a worker has been idle for long enough, or the one task of an init-container
// or a Job is done. Its error is the reason for an exit code other than 0; a ctx that ends is none, except
// for those two: the pod of the first must not start, and the second is not done.
func Run(ctx context.Context, c Config) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	a := &agent{Config: c, outbox: newOutbox(), over: make(chan error, 1), outcomes: map[string]error{}}
	// What a killed run has left.
	_ = os.RemoveAll(filepath.Join(c.WorkDir, string(c.Role), "scratch"))
	results, err := c.dir("results")
	if err != nil {
		return err
	}
	a.store = &store{dir: results, log: c.Log}
	a.tasks = newTasks(a)
	for _, r := range a.store.load() {
		a.finished(r)
		if c.Role == protocol.RoleInit && r.Error == "" {
			a.recordRestored() // we may have died between the two
		}
	}
	if c.Role == protocol.RoleInit && a.restored() {
		return a.alreadyRestored(ctx)
	}
	err = a.work(ctx)
	if err != nil {
		a.lastWords(err)
	}
	return err
}

// work keeps the stream and waits for the end.
func (a *agent) work(ctx context.Context) error {
	streams, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { a.stream(streams) })
	err := a.wait(ctx)
	a.tasks.close()
	if ctx.Err() != nil || a.Role == protocol.RoleWorker {
		a.flush()
	}
	stop(errStopped)
	background.Wait()
	return err
}

// wait returns when the run is over.
func (a *agent) wait(ctx context.Context) error {
	idle := time.NewTicker(max(a.Timings.Idle/20, time.Millisecond))
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			if a.Role.Once() {
				return fmt.Errorf("stopped before the %s was done", verb(a.Role))
			}
			return nil
		case err := <-a.over:
			return err
		case <-idle.C:
			if a.Role == protocol.RoleWorker && a.outbox.empty() && a.tasks.idle() >= a.Timings.Idle {
				a.Log.Info("no work is left")
				return nil
			}
		}
	}
}

// flush waits for the last results to be acknowledged, not for long: they are kept on disk, and
// what dies with the pod is found again by its snapshots.
func (a *agent) flush() {
	deadline := time.NewTimer(a.Timings.Flush)
	defer deadline.Stop()
	for !a.outbox.empty() {
		select {
		case <-deadline.C:
			return
		case <-a.outbox.changed():
		}
	}
}

// end ends the run; the first outcome counts.
func (a *agent) end(err error) {
	select {
	case a.over <- err:
	default:
	}
}

// finished keeps a result until it is acknowledged. It is made to fit into a line first.
func (a *agent) finished(r protocol.Result) {
	limit := protocol.MaxLine
	if a.Role == protocol.RoleWorker {
		limit = protocol.MaxWorkerLine
	}
	r = r.Fitting(limit)
	a.mu.Lock()
	a.outcomes[r.ID] = nil
	if r.Error != "" {
		a.outcomes[r.ID] = fmt.Errorf("%s: %s (%s)", verb(a.Role), r.Error, r.Reason)
	}
	a.mu.Unlock()
	a.outbox.result(r)
}

// verb is what agents of a role do, to people.
func verb(r protocol.Role) string {
	if r.BacksUp() {
		return "backup"
	}
	return "restore"
}

// acknowledged forgets a result. An init-container or a Job has done its work then.
func (a *agent) acknowledged(id string) {
	a.store.remove(id)
	if !a.outbox.acknowledge(id) {
		return
	}
	a.mu.Lock()
	outcome := a.outcomes[id]
	delete(a.outcomes, id)
	a.mu.Unlock()
	if a.Role.Once() {
		a.end(outcome)
	}
}

// lastWords tells kubelet why the container ends; kubectl describe shows it.
func (a *agent) lastWords(err error) {
	if a.TerminationLog == "" {
		return
	}
	f, openErr := os.OpenFile(a.TerminationLog, os.O_WRONLY|os.O_TRUNC, 0)
	if openErr != nil {
		return // not in a container
	}
	const limit = 4096 // of kubelet
	text := err.Error()
	_, _ = f.WriteString(text[:min(len(text), limit)])
	_ = f.Close()
}
