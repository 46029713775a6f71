package scheduler

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMissed(t *testing.T) {
	created := "2026-01-01T00:00:30Z"
	cases := map[string]struct {
		expr, since, now, want string
		count                  int
	}{
		"nothing was due":                         {"0 * * * *", created, "2026-01-01T00:59:59Z", "", 0},
		"a slot at this very second":              {"0 * * * *", created, "2026-01-01T01:00:00Z", "2026-01-01T01:00:00Z", 1},
		"only the latest of three":                {"0 * * * *", created, "2026-01-01T03:30:00Z", "2026-01-01T03:00:00Z", 3},
		"the slot that was dealt with":            {"0 * * * *", "2026-01-01T03:00:00Z", "2026-01-01T03:30:00Z", "", 0},
		"slots before creation":                   {"0 * * * *", "2025-01-01T00:00:00Z", "2026-01-01T00:30:00Z", "", 0},
		"a year of minutes is not walked":         {"* * * * *", created, "2027-01-01T00:00:30Z", "2027-01-01T00:00:00Z", MaxCounted},
		"a year of every second is not walked":    {"@every 1s", created, "2027-01-01T00:00:30Z", "2027-01-01T00:00:30Z", MaxCounted},
		"two minutes a day, seen from the night":  {"0,1 0 * * *", created, "2027-01-01T12:00:30Z", "2027-01-01T00:01:00Z", MaxCounted},
		"every ninety minutes from creation":      {"@every 90m", created, "2026-01-01T04:00:00Z", "2026-01-01T03:00:30Z", 2},
		"before creation, on a clock that jumped": {"0 * * * *", created, "2025-01-01T00:00:00Z", "", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, count, ok := parse(t, c.expr, "").Missed(at(t, c.since), at(t, created), at(t, c.now))
			if ok != (c.want != "") || count != c.count {
				t.Fatalf("got %s, %d, %v", got, count, ok)
			}
			if ok && !got.Equal(at(t, c.want)) {
				t.Fatalf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestLatestAgreesWithWalking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, created := drawSchedule(t), drawTime(t, "created").Truncate(time.Second)
		first := s.Next(created, created)
		want := first
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			want = s.Next(want, created)
		}
		following := s.Next(want, created)
		now := want.Add(time.Duration(rapid.Int64Range(0, int64(following.Sub(want))-1).Draw(t, "rest")))
		if got := s.latest(first, created, now); !got.Equal(want) {
			t.Fatalf("between %s and %s: got %s, want %s", first, now, got, want)
		}
		if got, _, ok := s.Missed(created, created, now); !ok || !got.Equal(want) {
			t.Fatalf("missed is %s, %v, want %s", got, ok, want)
		}
	})
}

func TestSessionName(t *testing.T) {
	slot := time.Unix(1_767_225_600, 0)
	long := "deploy-a-very-long-name-of-a-workload-that-goes-on-and-on-and-on"
	if got := SessionName("deploy-web", slot); got != "deploy-web-1767225600" {
		t.Errorf("got %q", got)
	}
	got := SessionName(long, slot)
	if !strings.HasPrefix(got, "deploy-a-very-long-name-of-a-workload-") || !strings.HasSuffix(got, "-1767225600") || len(got) != maxName {
		t.Errorf("got %q (%d)", got, len(got))
	}
	if a, b := SessionName(long+"a", slot), SessionName(long+"b", slot); a == b {
		t.Errorf("two configurations share the session name %q", a)
	}
	if a, b := SessionName(long, slot), SessionName(long, slot.Add(time.Second)); a == b {
		t.Errorf("two slots share the session name %q", a)
	}
}

func TestSessionNamesAreValidLabels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := rapid.StringMatching(`[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?`).Draw(t, "config")
		name := SessionName(config, drawTime(t, "slot"))
		if !validName.MatchString(name) || len(name) > maxName {
			t.Fatalf("%q is no valid name", name)
		}
	})
}
