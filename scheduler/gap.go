package scheduler

import "time"

// gapYears is how long the days of a cron expression are looked at for its gaps: from 29 February 2096
// it is eight years to the next, and in between the week's days come round.
const gapYears = 12

// Gaps returns the shortest and the longest time between two slots that follow each other. They are those
// of the clock on the wall: a daily schedule is one of 24 hours, though a day in autumn has 25. Both are
// 0 for a schedule without slots.
func (s Schedule) Gaps() (shortest, longest time.Duration) {
	switch {
	case s.IsZero():
		return 0, 0
	case s.every > 0:
		d := time.Duration(s.every) * time.Second
		return d, d
	}
	first, last, shortest, longest := s.day()
	if first < 0 {
		return 0, 0
	}
	var before time.Time
	for d := reference(); d.Before(reference().AddDate(gapYears, 0, 0)); d = d.AddDate(0, 0, 1) {
		if !s.on(d) {
			continue
		}
		if !before.IsZero() {
			gap := d.Sub(before) - last + first
			longest = max(longest, gap)
			if shortest == 0 || gap < shortest {
				shortest = gap
			}
		}
		before = d
	}
	return shortest, longest
}

// day returns the first and the last slot of a day, as time since midnight, and the shortest and the
// longest gap between them, 0 where there is one slot. Without any, first is negative.
func (s Schedule) day() (first, last, shortest, longest time.Duration) {
	first = -1
	for hour := range 24 {
		if s.spec.Hour&(1<<hour) == 0 {
			continue
		}
		for minute := range 60 {
			if s.spec.Minute&(1<<minute) == 0 {
				continue
			}
			at := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
			if first < 0 {
				first, last = at, at
				continue
			}
			longest = max(longest, at-last)
			if shortest == 0 || at-last < shortest {
				shortest = at - last
			}
			last = at
		}
	}
	return first, last, shortest, longest
}

// on tells whether a day has slots: as in cron, either of both fields of days is enough where both are
// given.
func (s Schedule) on(day time.Time) bool {
	if s.spec.Month&(1<<day.Month()) == 0 {
		return false
	}
	ofMonth, ofWeek := s.spec.Dom&(1<<day.Day()) != 0, s.spec.Dow&(1<<day.Weekday()) != 0
	if s.spec.Dom&starBit != 0 || s.spec.Dow&starBit != 0 {
		return ofMonth && ofWeek
	}
	return ofMonth || ofWeek
}
