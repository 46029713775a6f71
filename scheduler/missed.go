package scheduler

import "time"

// MaxCounted bounds the count that Missed returns: this number means "so many or more".
const MaxCounted = 100

// horizon bounds how far back Missed looks for the latest slot of a cron expression.
const horizon = 40 * 366 * 24 * time.Hour

// Missed returns the latest slot that is later than since and created and not later than now, with
// the number of such slots, at most MaxCounted. Only the latest is to be caught up. Since is the
// last slot that was dealt with or, if later, the end of a pause: what came before creation or
// while paused was not missed. The work is bounded whatever the distance: it never walks all slots.
func (s Schedule) Missed(since, created, now time.Time) (latest time.Time, count int, ok bool) {
	if since.Before(created) {
		since = created
	}
	first := s.Next(since, created)
	if first.IsZero() || first.After(now) {
		return time.Time{}, 0, false
	}
	for t := first; !t.IsZero() && !t.After(now) && count < MaxCounted; t = s.Next(t, created) {
		latest = t
		count++
	}
	if count == MaxCounted {
		latest = s.latest(latest, created, now)
	}
	return latest, count, true
}

// latest returns the last slot not later than now, given that from is a slot not later than now.
func (s Schedule) latest(from, created, now time.Time) time.Time {
	if s.every > 0 {
		start := created.Unix()
		return time.Unix(start+(now.Unix()-start)/s.every*s.every, 0).UTC()
	}
	// Windows that end now are doubled until one holds a slot, then halved down to that slot: a
	// time lies before the latest slot exactly if its next slot is not later than now.
	early := from.Add(-time.Second)
	late := now
	for w := time.Minute; w < horizon; w *= 2 {
		t := now.Add(-w)
		if !t.After(early) {
			break
		}
		if s.holds(t, created, now) {
			early = t
			break
		}
		late = t
	}
	for late.Sub(early) > time.Second {
		mid := early.Add(late.Sub(early) / 2)
		if s.holds(mid, created, now) {
			early = mid
		} else {
			late = mid
		}
	}
	return s.Next(early, created)
}

func (s Schedule) holds(after, created, now time.Time) bool {
	t := s.Next(after, created)
	return !t.IsZero() && !t.After(now)
}
