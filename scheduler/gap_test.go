package scheduler

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGaps(t *testing.T) {
	const day = 24 * time.Hour
	for expr, want := range map[string]struct{ longest, mean time.Duration }{
		"@every 6h":      {6 * time.Hour, 6 * time.Hour},
		"@hourly":        {time.Hour, time.Hour},
		"@daily":         {day, day},
		"@weekly":        {7 * day, 7 * day},
		"*/15 * * * *":   {15 * time.Minute, 15 * time.Minute},
		"0 3 * * 1-5":    {3 * day, 0},
		"0 9,10 * * *":   {23 * time.Hour, 12 * time.Hour},
		"*/5 * * * 1-5":  {2*day + 5*time.Minute, 0},
		"0 0 1 * *":      {31 * day, 0},
		"0 0 1 1 *":      {366 * day, 0},
		"0 0 29 2 *":     {1461 * day, 1461 * day},
		"0 0 1 * MON":    {7 * day, 0},
		"30 22 * * 6,0":  {6 * day, 0},
		"0 0 31 1,3,5 *": {245 * day, 0},
	} {
		t.Run(expr, func(t *testing.T) {
			for _, zone := range []string{"", "Europe/Berlin"} {
				s, err := Parse(expr, zone)
				if err != nil {
					t.Fatal(err)
				}
				longest, mean := s.Gaps()
				if longest != want.longest || want.mean != 0 && mean != want.mean {
					t.Errorf("in %q: longest %s, mean %s; want %s, %s", zone, longest, mean, want.longest, want.mean)
				}
				if mean <= 0 || mean > longest {
					t.Errorf("in %q: mean %s of at most %s", zone, mean, longest)
				}
			}
		})
	}
	if longest, mean := (Schedule{}).Gaps(); longest != 0 || mean != 0 {
		t.Errorf("without slots: %s, %s", longest, mean)
	}
}

// Two slots that follow each other are never further apart than the longest gap.
func TestGapsBoundAllSlots(t *testing.T) {
	field := func(values ...string) *rapid.Generator[string] { return rapid.SampledFrom(values) }
	rapid.Check(t, func(t *rapid.T) {
		expr := field("0", "*/20", "5,50", "*").Draw(t, "minute") + " " + field("0", "*/7", "1-3", "*").Draw(t, "hour") + " " +
			field("*", "1", "*/10", "31").Draw(t, "day") + " " + field("*", "1,7", "2-4").Draw(t, "month") + " " + field("*", "1-5", "0").Draw(t, "weekday")
		s, err := Parse(expr, "")
		if err != nil {
			t.Fatal(err)
		}
		longest, _ := s.Gaps()
		start := time.Unix(rapid.Int64Range(1767225600, 1893456000).Draw(t, "start"), 0)
		before := s.Next(start, time.Time{})
		for range 200 {
			next := s.Next(before, time.Time{})
			if gap := next.Sub(before); gap > longest {
				t.Fatalf("%s: %s from %s to %s, longest %s", expr, gap, before, next, longest)
			}
			before = next
		}
	})
}
