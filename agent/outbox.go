package agent

import (
	"slices"
	"sync"

	"github.com/seed-731df569/stash/broker/protocol"
)

// outbox holds what the broker is to be told. Progress is only the latest of each task and is lost
// with the stream; results are repeated on each stream until they are acknowledged.
type outbox struct {
	mu       sync.Mutex
	results  []protocol.Result
	sent     map[string]bool
	accepts  []string
	progress map[string]protocol.Progress
	wake     chan struct{}
	change   chan struct{}
}

func newOutbox() *outbox {
	return &outbox{
		sent: map[string]bool{}, progress: map[string]protocol.Progress{},
		wake: make(chan struct{}, 1), change: make(chan struct{}),
	}
}

// signal tells the stream that there is something, and others that something is different.
func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
	close(o.change)
	o.change = make(chan struct{})
}

func (o *outbox) accept(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.accepts = append(o.accepts, id)
	o.signal()
}

func (o *outbox) report(p protocol.Progress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.progress[p.ID] = p
	o.signal()
}

func (o *outbox) result(r protocol.Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.progress, r.ID)
	o.results = slices.DeleteFunc(o.results, func(old protocol.Result) bool { return old.ID == r.ID })
	o.results = append(o.results, r)
	delete(o.sent, r.ID)
	o.signal()
}

// acknowledge forgets a result and tells whether there was one.
func (o *outbox) acknowledge(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := len(o.results)
	o.results = slices.DeleteFunc(o.results, func(r protocol.Result) bool { return r.ID == id })
	delete(o.sent, id)
	o.signal()
	return len(o.results) < before
}

// unacknowledged are the IDs of results.
func (o *outbox) unacknowledged() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := make([]string, len(o.results))
	for i, r := range o.results {
		ids[i] = r.ID
	}
	return ids
}

func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.results) == 0
}

// changed is closed at the next change.
func (o *outbox) changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.change
}

// connected prepares for a new stream: results are said again, what was only said for the old
// stream is not.
func (o *outbox) connected() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.sent)
	o.accepts = nil
	o.signal()
}

// next returns what has not been said on this stream, the most important last thing last: a result
// follows its task's acceptance.
func (o *outbox) next() []protocol.Up {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []protocol.Up
	for _, id := range o.accepts {
		lines = append(lines, protocol.Up{Accept: &protocol.Accept{ID: id}})
	}
	o.accepts = nil
	for _, p := range o.progress {
		lines = append(lines, protocol.Up{Progress: &p})
	}
	clear(o.progress)
	for _, r := range o.results {
		if !o.sent[r.ID] {
			o.sent[r.ID] = true
			lines = append(lines, protocol.Up{Result: &r})
		}
	}
	return lines
}
