package protection

import (
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

const (
	// forever is how far a retention reaches that removes nothing.
	forever = time.Duration(1<<63 - 1)
	day     = 24 * time.Hour
)

// reach is how far back the oldest snapshot is, at the least, that a retention policy keeps of scheduled
// backups, as soon as there have been backups for so long. Shortest is the least time between two of them.
//
// The worst moment is the first backup of an hour, day, week, month or year. What is kept of that one is a
// moment old; of the n-1 before it, each may be kept for its last moment alone. So two of n units say
// nothing, and the first of the others began as long ago as these are long. Beside that, n snapshots have
// n-1 gaps. Tags are put on by hand, and keep nothing of scheduled backups.
func reach(r *v1beta1.RetentionPolicy, shortest time.Duration) time.Duration {
	if r.DryRun || r.IsEmpty() {
		return forever
	}
	back := times(r.KeepLast-1, shortest)
	for _, k := range []struct {
		n    int64
		unit func(n int64) time.Duration
	}{
		{r.KeepHourly, units(time.Hour)},
		{r.KeepDaily, units(day)},
		{r.KeepWeekly, units(7 * day)},
		{r.KeepMonthly, months},
		{r.KeepYearly, units(365 * day)},
	} {
		back = max(back, k.unit(k.n-2), times(k.n-1, shortest))
	}
	return back
}

func units(unit time.Duration) func(int64) time.Duration {
	return func(n int64) time.Duration { return times(n, unit) }
}

// times is at least 0 and at most for ever.
func times(n int64, d time.Duration) time.Duration {
	switch {
	case n <= 0 || d <= 0:
		return 0
	case n > int64(forever/d):
		return forever
	}
	return time.Duration(n) * d
}

// months is the least that n months in a row have: those around February of a year that is no leap year.
func months(n int64) time.Duration {
	if n <= 0 {
		return 0
	}
	least := [...]time.Duration{0, 28, 59, 89, 120, 150, 181, 212, 242, 273, 303, 334}
	years := times(n/12, 365*day)
	if years > forever-365*day {
		return forever
	}
	return years + least[n%12]*day
}
