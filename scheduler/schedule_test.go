package scheduler

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func parse(t testing.TB, expr, zone string) Schedule {
	t.Helper()
	s, err := Parse(expr, zone)
	if err != nil {
		t.Fatalf("parse %q in %q: %v", expr, zone, err)
	}
	return s
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct{ expr, zone, want string }{
		"nothing":                             {"", "", `expected a schedule, found nothing; for example "0 */6 * * *"`},
		"longer than any that is meant":       {strings.Repeat("0,", 600) + "0 * * * *", "", "expected a schedule of at most 1024 characters, found 1209"},
		"blanks":                              {"  ", "", "expected a schedule, found nothing"},
		"three fields":                        {"* * *", "", `expected 5 fields, found 3; for example "0 */6 * * *"`},
		"seconds":                             {"0 0 * * * *", "", "expected 5 fields, found 6: seconds are not supported"},
		"an hour that does not exist":         {"0 25 * * *", "", `hour "25" is not understood: write * or numbers of 0-23`},
		"a day of week that is spelled out":   {"0 0 * * monday", "", `day of week "monday" is not understood`},
		"a list of nothing":                   {"0 0 * , *", "", `month "," is not understood`},
		"a step of zero":                      {"*/0 * * * *", "", `minute "*/0" is not understood`},
		"the 31st of February":                {"0 0 31 2 *", "", `no such day: month "2" has no day "31"`},
		"the 31st of short months":            {"0 0 31 4,6,9,11 *", "", "no such day"},
		"a zone that makes robfig panic":      {"TZ=0", "", "write it in timeZone"},
		"another that makes robfig panic":     {"CRON_TZ=UTC", "", "write it in timeZone"},
		"a zone that robfig would take":       {"CRON_TZ=UTC 0 0 * * *", "", "write it in timeZone"},
		"an unknown descriptor":               {"@fortnightly", "", `"@fortnightly" is no known descriptor`},
		"a reboot":                            {"@reboot", "", "no known descriptor"},
		"every without a duration":            {"@every", "", `"" is no duration`},
		"every with a bad duration":           {"@every 1 hour", "", `"1 hour" is no duration`},
		"every backwards":                     {"@every -1h", "", "is not positive"},
		"every nothing":                       {"@every 0s", "", "is not positive"},
		"every half second":                   {"@every 500ms", "", "is not in whole seconds"},
		"every second and a half":             {"@every 1500ms", "", "is not in whole seconds"},
		"a zone that does not exist":          {"@daily", "Europe/Atlantis", `time zone "Europe/Atlantis" is unknown`},
		"the zone of the machine":             {"@daily", "Local", "differs from machine to machine"},
		"a zone that leaves the zone folders": {"@daily", "../etc/passwd", "is unknown"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(c.expr, c.zone)
			if err == nil {
				t.Fatalf("%q in %q was accepted", c.expr, c.zone)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestNextFollowsCronJobs(t *testing.T) {
	cases := map[string]struct{ expr, zone, after, want string }{
		"every six hours":                     {"0 */6 * * *", "", "2026-01-01T05:59:59Z", "2026-01-01T06:00:00Z"},
		"strictly later than after":           {"0 */6 * * *", "", "2026-01-01T06:00:00Z", "2026-01-01T12:00:00Z"},
		"fractions of a second do not matter": {"0 6 * * *", "", "2026-01-01T05:59:59.9Z", "2026-01-01T06:00:00Z"},
		"day of month or day of week":         {"0 0 1 * MON", "", "2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z"},
		"a leap day":                          {"0 0 29 2 *", "", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		"a leap day over 2100":                {"0 0 29 2 *", "", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		"daily descriptor":                    {"@daily", "", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},
		"outer blanks":                        {" 0 6  * * * ", "", "2026-01-01T00:00:00Z", "2026-01-01T06:00:00Z"},
		"a time zone":                         {"0 2 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"},
		"the skipped hour has no slot":        {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"},
		"the repeated hour has its first":     {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		"and its second slot":                 {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		"hourly has no gap in autumn":         {"0 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"},
		"midnight that does not exist":        {"0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-05T02:00:00Z"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := parse(t, c.expr, c.zone).Next(at(t, c.after), time.Time{})
			if want := at(t, c.want); !got.Equal(want) || got.Location() != time.UTC {
				t.Fatalf("got %s, want %s", got, want)
			}
		})
	}
}

func TestPace(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		expr, zone        string
		shortest, longest time.Duration
	}{
		"every minute":                     {"* * * * *", "", time.Minute, time.Minute},
		"every minute of one hour":         {"* 3 * * *", "", time.Minute, day - 59*time.Minute},
		"two minutes in a row, once a day": {"0,1 3 * * *", "", time.Minute, day - time.Minute},
		"two minutes in a row, later":      {"0,30,31 * * * *", "", time.Minute, 30 * time.Minute},
		"every six hours":                  {"0 */6 * * *", "", 6 * time.Hour, 6 * time.Hour},
		"daily, in a zone":                 {"0 3 * * *", "Europe/Berlin", day, day},
		"yearly":                           {"@yearly", "", 365 * day, 365 * day},
		"on a leap day":                    {"0 0 29 2 *", "", 1461 * day, 1461 * day},
		"a duration":                       {"@every 90s", "", 90 * time.Second, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if shortest, longest := parse(t, c.expr, c.zone).Pace(); shortest != c.shortest || longest != c.longest {
				t.Errorf("from %s to %s, want from %s to %s", shortest, longest, c.shortest, c.longest)
			}
		})
	}
	if shortest, longest := (Schedule{}).Pace(); shortest != 0 || longest != 0 {
		t.Errorf("the zero schedule: from %s to %s", shortest, longest)
	}
}

func TestEveryIsAnchoredAtCreation(t *testing.T) {
	s, created := parse(t, "@every 90m", ""), at(t, "2026-01-01T00:10:00Z")
	for after, want := range map[string]string{
		"2025-12-01T00:00:00Z": "2026-01-01T01:40:00Z",
		"2026-01-01T00:10:00Z": "2026-01-01T01:40:00Z",
		"2026-01-01T01:39:59Z": "2026-01-01T01:40:00Z",
		"2026-01-01T01:40:00Z": "2026-01-01T03:10:00Z",
	} {
		if got := s.Next(at(t, after), created); !got.Equal(at(t, want)) {
			t.Errorf("after %s: got %s, want %s", after, got, want)
		}
	}
	if !(Schedule{}).Next(created, created).IsZero() {
		t.Error("the zero schedule has a slot")
	}
}

// expressions holds something of every feature; zones those with the strangest clocks.
func expressions() []string {
	return []string{
		"* * * * *", "0 */6 * * *", "30 2 * * *", "0 0 * * *", "59 23 31 12 *", "0 0 29 2 *", "15,45 1-3 1,15 * *", "0 0 1 * MON",
		"*/7 */5 */3 */2 *", "0 0 ? * SUN", "@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@every 1s", "@every 17m", "@every 720h",
	}
}

func zones() []string {
	return []string{
		"", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Kathmandu", "Africa/Cairo",
		"Pacific/Apia", "Asia/Beirut", "America/Havana", "Africa/Casablanca", "Asia/Gaza",
	}
}

func drawSchedule(t *rapid.T) Schedule {
	s, err := Parse(rapid.SampledFrom(expressions()).Draw(t, "expr"), rapid.SampledFrom(zones()).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func drawTime(t *rapid.T, label string) time.Time {
	return time.Unix(rapid.Int64Range(1_300_000_000, 2_000_000_000).Draw(t, label), rapid.Int64Range(0, 999_999_999).Draw(t, label+"ns"))
}

func TestNextIsStrictlyIncreasing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, created := drawSchedule(t), drawTime(t, "created").Truncate(time.Second)
		after := drawTime(t, "after")
		for range 20 {
			next := s.Next(after, created)
			if !next.After(after) || !next.After(created) || next.Nanosecond() != 0 {
				t.Fatalf("next of %s (created %s) is %s", after, created, next)
			}
			if between := s.Next(next.Add(-time.Second), created); !between.Equal(next) {
				t.Fatalf("asked a second before the slot %s, the next is %s", next, between)
			}
			after = next
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, e := range append(expressions(), "TZ=0", "CRON_TZ=UTC", "@every -1h", "0 0 31 2 *", ", , , , ,", "1-2/0 * * * *", "@every 9223372036854775807ns") {
		for _, z := range zones()[:3] {
			f.Add(e, z, int64(1_700_000_000))
		}
	}
	f.Fuzz(func(t *testing.T, expr, zone string, unix int64) {
		s, err := Parse(expr, zone)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a message")
			}
			return
		}
		after := time.Unix(unix%4_000_000_000, 0)
		if next := s.Next(after, after); next.IsZero() || !next.After(after) {
			t.Fatalf("%q in %q was accepted, but after %s comes %s", expr, zone, after, next)
		}
	})
}
