package scheduler

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGaps(t *testing.T) {
	const day = 24 * time.Hour
	for expr, want := range map[string]struct{ shortest, longest time.Duration }{
		"@every 6h":      {6 * time.Hour, 6 * time.Hour},
		"@hourly":        {time.Hour, time.Hour},
		"@daily":         {day, day},
		"@weekly":        {7 * day, 7 * day},
		"*/15 * * * *":   {15 * time.Minute, 15 * time.Minute},
		"0 3 * * 1-5":    {day, 3 * day},
		"0 9,10 * * *":   {time.Hour, 23 * time.Hour},
		"0 0,23 * * *":   {time.Hour, 23 * time.Hour},
		"*/5 * * * 1-5":  {5 * time.Minute, 2*day + 5*time.Minute},
		"0 0 1 * *":      {28 * day, 31 * day},
		"0 0 1 1 *":      {365 * day, 366 * day},
		"0 0 29 2 *":     {1461 * day, 1461 * day},
		"0 0 1 * MON":    {day, 7 * day},
		"30 22 * * 6,0":  {day, 6 * day},
		"0 0 31 1,3,5 *": {59 * day, 245 * day},
	} {
		t.Run(expr, func(t *testing.T) {
			for _, zone := range []string{"", "Europe/Berlin"} {
				s, err := Parse(expr, zone)
				if err != nil {
					t.Fatal(err)
				}
				shortest, longest := s.Gaps()
				if shortest != want.shortest || longest != want.longest {
					t.Errorf("in %q: %s to %s; want %s to %s", zone, shortest, longest, want.shortest, want.longest)
				}
			}
		})
	}
	if shortest, longest := (Schedule{}).Gaps(); shortest != 0 || longest != 0 {
		t.Errorf("without slots: %s to %s", shortest, longest)
	}
}

// Two slots that follow each other are never closer than the shortest gap, nor further apart than the longest.
func TestGapsBoundAllSlots(t *testing.T) {
	field := func(values ...string) *rapid.Generator[string] { return rapid.SampledFrom(values) }
	rapid.Check(t, func(t *rapid.T) {
		expr := field("0", "*/20", "5,50", "*").Draw(t, "minute") + " " + field("0", "*/7", "1-3", "*").Draw(t, "hour") + " " +
			field("*", "1", "*/10", "31").Draw(t, "day") + " " + field("*", "1,7", "2-4").Draw(t, "month") + " " + field("*", "1-5", "0").Draw(t, "weekday")
		s, err := Parse(expr, "")
		if err != nil {
			t.Fatal(err)
		}
		shortest, longest := s.Gaps()
		start := time.Unix(rapid.Int64Range(1767225600, 1893456000).Draw(t, "start"), 0)
		before := s.Next(start, time.Time{})
		for range 200 {
			next := s.Next(before, time.Time{})
			if gap := next.Sub(before); gap < shortest || gap > longest {
				t.Fatalf("%s: %s from %s to %s, which is not within %s and %s", expr, gap, before, next, shortest, longest)
			}
			before = next
		}
	})
}
