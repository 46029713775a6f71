package scheduler

import (
	"math/bits"
	"time"
)

// gapYears is how long the days of a cron expression are looked at for its gaps: from 29 February 2096
// it is eight years to the next, and in between the week's days come round.
const gapYears = 12

// Gaps returns the longest time between two slots that follow each other, and the mean. They are those
// of the clock on the wall: a daily schedule is one of 24 hours, though a day in autumn has 25. Both are
// 0 for a schedule without slots.
func (s Schedule) Gaps() (longest, mean time.Duration) {
	switch {
	case s.IsZero():
		return 0, 0
	case s.every > 0:
		d := time.Duration(s.every) * time.Second
		return d, d
	}
	first, last, inside, slots := s.day()
	if slots == 0 {
		return 0, 0
	}
	longest = inside
	var days int
	var begin, before time.Time
	for d := reference(); d.Before(reference().AddDate(gapYears, 0, 0)); d = d.AddDate(0, 0, 1) {
		if !s.on(d) {
			continue
		}
		if before.IsZero() {
			begin = d
		} else {
			longest = max(longest, d.Sub(before)-last+first)
			days++
		}
		before = d
	}
	if days == 0 {
		return 0, 0
	}
	// As many days as lie between the first and the last of them.
	return longest, before.Sub(begin) / time.Duration(days*slots)
}

// day returns the first and the last slot of a day, as time since midnight, the longest gap between
// them, and how many there are.
func (s Schedule) day() (first, last, longest time.Duration, slots int) {
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
				first = at
			} else {
				longest = max(longest, at-last)
			}
			last = at
		}
	}
	hours, minutes := s.spec.Hour&^starBit, s.spec.Minute&^starBit
	return first, last, longest, bits.OnesCount64(hours) * bits.OnesCount64(minutes)
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
