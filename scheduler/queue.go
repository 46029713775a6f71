package scheduler

import (
	"container/heap"
	"time"
)

// Due is a slot whose session is to be created now.
type Due struct {
	// Key of the configuration, as given to Set.
	Key string
	// Slot is the latest slot that is due.
	Slot time.Time
	// Missed is how many slots came due together, at least 1 and at most MaxCounted; all but the
	// latest are skipped.
	Missed int
}

// Queue holds the next slot of every configuration. It is not safe for concurrent use: its owner is
// the loop that creates sessions. The zero value is not usable; call NewQueue.
type Queue struct {
	byKey map[string]*entry
	order order
	// zones makes schedules of the same time zone share its rules, a few KB each.
	zones map[string]*time.Location
}

type entry struct {
	key      string
	schedule Schedule
	created  int64
	next     int64
	index    int
}

// NewQueue returns an empty queue.
func NewQueue() *Queue {
	return &Queue{byKey: map[string]*entry{}, zones: map[string]*time.Location{}}
}

// Set puts the configuration's first slot later than after into the queue, in place of what it had.
// After is the last slot that was dealt with, so that missed ones come due at once, or the end of a
// pause. It returns the slot; the zero time means that there is none and that the configuration is
// not in the queue.
func (q *Queue) Set(key string, s Schedule, created, after time.Time) time.Time {
	next := s.Next(after, created)
	if next.IsZero() {
		q.Remove(key)
		return next
	}
	if loc := s.spec.Location; loc != nil {
		if known, ok := q.zones[loc.String()]; ok {
			s.spec.Location = known
		} else {
			q.zones[loc.String()] = loc
		}
	}
	e, ok := q.byKey[key]
	if !ok {
		e = &entry{key: key}
		q.byKey[key] = e
	}
	e.schedule, e.created, e.next = s, created.Unix(), next.Unix()
	if ok {
		heap.Fix(&q.order, e.index)
	} else {
		heap.Push(&q.order, e)
	}
	return next
}

// Remove takes the configuration out of the queue. It does nothing if it is not there.
func (q *Queue) Remove(key string) {
	if e, ok := q.byKey[key]; ok {
		heap.Remove(&q.order, e.index)
		delete(q.byKey, key)
	}
}

// PopDue returns what is due at now, earliest first, and moves each of these configurations to its
// next slot. Several due slots of one configuration are one Due, for the latest of them.
func (q *Queue) PopDue(now time.Time) []Due {
	var due []Due
	for len(q.order) > 0 && q.order[0].next <= now.Unix() {
		e := q.order[0]
		created := time.Unix(e.created, 0)
		d := Due{Key: e.key, Slot: time.Unix(e.next, 0).UTC(), Missed: 1}
		next := e.schedule.Next(d.Slot, created)
		if !next.IsZero() && !next.After(now) {
			d.Slot, d.Missed, _ = e.schedule.Missed(d.Slot.Add(-time.Second), created, now)
			next = e.schedule.Next(now, created)
		}
		due = append(due, d)
		if next.IsZero() {
			q.Remove(e.key)
			continue
		}
		e.next = next.Unix()
		heap.Fix(&q.order, 0)
	}
	return due
}

// NextTime returns the earliest slot in the queue, and false if it is empty.
func (q *Queue) NextTime() (time.Time, bool) {
	if len(q.order) == 0 {
		return time.Time{}, false
	}
	return time.Unix(q.order[0].next, 0).UTC(), true
}

// Next returns the configuration's slot in the queue, and false if it has none.
func (q *Queue) Next(key string) (time.Time, bool) {
	e, ok := q.byKey[key]
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(e.next, 0).UTC(), true
}

// Len returns the number of configurations in the queue.
func (q *Queue) Len() int { return len(q.order) }

// order is the heap: earliest first, ties by key so that the order is the same everywhere.
type order []*entry

func (o order) Len() int { return len(o) }

func (o order) Less(i, j int) bool {
	if o[i].next != o[j].next {
		return o[i].next < o[j].next
	}
	return o[i].key < o[j].key
}

func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].index, o[j].index = i, j
}

// Push appends x; it is container/heap's, not the queue's users'.
func (o *order) Push(x any) {
	e, ok := x.(*entry)
	if !ok {
		return
	}
	e.index = len(*o)
	*o = append(*o, e)
}

// Pop drops the last entry; it is container/heap's, not the queue's users'.
func (o *order) Pop() any {
	last := len(*o) - 1
	e := (*o)[last]
	(*o)[last] = nil
	*o = (*o)[:last]
	return e
}
