package controller

import (
	"maps"
	"sync"
	"time"
)

// The agents of a session all write to the one object, and progress is what they write most. So the
// more of them there are, the more seldom each one's is written: ten times a second for all.
const (
	// progressEvery is how often progress is written for one task at most.
	progressEvery = 3 * time.Second
	// progressShare is how much of the time between two is for each agent of the session.
	progressShare = 100 * time.Millisecond
	// progressAtLeast is how often it is written however many there are, while restic goes on: standing
	// still shows in it.
	progressAtLeast = time.Minute
)

// maxProgress is how many tasks are remembered before those that are silent are forgotten.
const maxProgress = 1000

// progressTimes remembers when progress of a task was last written.
type progressTimes struct {
	mu   sync.Mutex
	last map[string]written
}

// written is when progress of a task was written, and for how long it is not written again.
type written struct {
	at    time.Time
	pause time.Duration
}

// due tells whether progress of a task may be written now, and counts it as written.
func (p *progressTimes) due(task string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = map[string]written{}
	}
	over := func(_ string, w written) bool { return now.Sub(w.at) >= w.pause }
	if w, ok := p.last[task]; ok && !over(task, w) {
		return false
	}
	if len(p.last) >= maxProgress {
		maps.DeleteFunc(p.last, over) // tasks whose results went to another replica, or never came
	}
	p.last[task] = written{at: now, pause: progressEvery}
	return true
}

// share makes the pause of a task, whose progress was written, fit the number of agents that write.
func (p *progressTimes) share(task string, writers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok := p.last[task]; ok {
		w.pause = min(progressAtLeast, max(progressEvery, time.Duration(writers)*progressShare))
		p.last[task] = w
	}
}

func (p *progressTimes) forget(task string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, task)
}
