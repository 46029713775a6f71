package controller

import (
	"sync"
	"time"
)

// missedSessions are the sessions that agents say they work for and that the cache does not know. Listing
// all sessions is dear, and any agent can name some that never were: one list at a time answers for all that
// were asked for before it began, and the next one waits. A list says nothing of what was asked for later:
// that may have been made since.
type missedSessions struct {
	mu    sync.Mutex
	asked map[string]missed // by UID
	// busy tells that a list is under way; next is when another one may begin.
	busy  bool
	began time.Time
	next  time.Time
}

type missed struct {
	since time.Time
	gone  bool
}

const (
	// missedEvery is the least time between two lists, which grows with what they take.
	missedEvery = 5 * time.Second
	// missedKept is for how long an answer is kept, and a question that nobody repeats.
	missedKept = 5 * time.Minute
	// maxMissed bounds what is asked for; the rest is asked for again.
	maxMissed = 10_000
)

// ask notes that an agent works for a session.
func (m *missedSessions) ask(uid string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked == nil {
		m.asked = map[string]missed{}
	}
	if _, known := m.asked[uid]; !known && len(m.asked) < maxMissed {
		m.asked[uid] = missed{since: now}
	}
}

// begin returns the sessions that a list is to look for; none where no list may begin now.
func (m *missedSessions) begin(now time.Time) map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for uid, a := range m.asked {
		if now.Sub(a.since) > missedKept {
			delete(m.asked, uid)
		}
	}
	if m.busy || now.Before(m.next) {
		return nil
	}
	wanted := map[string]bool{}
	for uid, a := range m.asked {
		if !a.gone {
			wanted[uid] = true
		}
	}
	m.busy, m.began = len(wanted) > 0, now
	return wanted
}

// end takes the answer of a list: which of those that it looked for there are not.
func (m *missedSessions) end(gone map[string]bool, now time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy, m.next = false, now.Add(max(missedEvery, 10*now.Sub(m.began)))
	for uid, a := range m.asked {
		switch {
		case !ok || a.gone || a.since.After(m.began):
		case gone[uid]:
			a.gone = true
			m.asked[uid] = a
		default:
			delete(m.asked, uid) // it is there: if it is deleted, it is asked for again
		}
	}
}

// gone tells whether a session is known to have been deleted.
func (m *missedSessions) gone(uid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[uid].gone
}
