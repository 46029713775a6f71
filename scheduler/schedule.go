// Package scheduler decides when backups are due: it reads schedules as CronJobs do, computes the
// next and the missed slots, names the session of a slot, and keeps a queue of what is due.
//
// A slot is an instant, in whole seconds, at which a schedule asks for a session. Everything here
// is a function of values: it has no clock, starts no goroutine and creates no session; the loop
// that does is the controller's.
//
// Cron expressions mean what they mean in a CronJob, daylight saving included: a slot in the hour
// that is skipped in spring does not exist, one in the hour that is repeated in autumn comes twice.
package scheduler

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // A slim image and a user's machine must know the same zones.

	"github.com/robfig/cron/v3"
)

// Example is a schedule that error messages show.
const Example = `for example "0 */6 * * *"`

const (
	every = "@every"
	// starBit is robfig's mark of a field that was written as a star.
	starBit = 1 << 63
	// horizonYears bounds how far Next looks: from 29 February 2096 it is eight years to the next.
	horizonYears = 15
	// maxLength bounds what is read: one that names every minute, hour, day and month has 400 characters.
	maxLength = 1024
)

// Schedule is a parsed schedule. The zero value has no slots. It is a value: copying it is cheap
// and safe, and its methods may be called from several goroutines.
type Schedule struct {
	spec  cron.SpecSchedule
	every int64 // seconds; 0 for cron expressions
}

// Parse reads a five-field cron expression, a descriptor such as @daily, or "@every <duration>",
// whose unit is whole seconds. The time zone is an IANA name; empty is UTC. Schedules that never
// come true, such as the 31st of February, and zones inside the expression (TZ=, CRON_TZ=) are
// errors. The message says what was expected and gives an example.
func Parse(expr, timeZone string) (Schedule, error) {
	loc, err := location(timeZone)
	if err != nil {
		return Schedule{}, err
	}
	trimmed := strings.TrimSpace(expr)
	switch {
	case trimmed == "":
		return Schedule{}, fmt.Errorf("expected a schedule, found nothing; %s", Example)
	case len(trimmed) > maxLength:
		return Schedule{}, fmt.Errorf("expected a schedule of at most %d characters, found %d; %s", maxLength, len(trimmed), Example)
	case strings.Contains(trimmed, "TZ="):
		// robfig panics on some of these, and a CronJob refuses them.
		return Schedule{}, fmt.Errorf("a time zone inside the schedule is not supported: write it in timeZone, and here only the schedule; %s", Example)
	case strings.HasPrefix(trimmed, every):
		return parseEvery(trimmed)
	case strings.HasPrefix(trimmed, "@"):
		return parseDescriptor(trimmed, loc)
	}
	return parseFields(trimmed, loc)
}

func location(timeZone string) (*time.Location, error) {
	if timeZone == "" {
		return time.UTC, nil
	}
	// "Local" would mean another time on every node.
	if strings.EqualFold(timeZone, "Local") {
		return nil, fmt.Errorf(`time zone "Local" differs from machine to machine: write an IANA name, for example "Europe/Berlin"`)
	}
	loc, err := time.LoadLocation(timeZone)
	if err != nil {
		return nil, fmt.Errorf(`time zone %q is unknown: write an IANA name, for example "Europe/Berlin"`, timeZone)
	}
	return loc, nil
}

func parseEvery(expr string) (Schedule, error) {
	text := strings.TrimSpace(strings.TrimPrefix(expr, every))
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return Schedule{}, fmt.Errorf(`%q is no duration; for example "@every 6h" or "@every 90m"`, text)
	case d <= 0:
		return Schedule{}, fmt.Errorf(`the duration %q is not positive; for example "@every 6h"`, text)
	case d%time.Second != 0:
		return Schedule{}, fmt.Errorf(`the duration %q is not in whole seconds; for example "@every 90s"`, text)
	}
	return Schedule{every: int64(d / time.Second)}, nil
}

func parseDescriptor(expr string, loc *time.Location) (Schedule, error) {
	parsed, err := cron.ParseStandard(expr)
	spec, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return Schedule{}, fmt.Errorf("%q is no known descriptor: @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, @every <duration>", expr)
	}
	return in(spec, loc), nil
}

func parseFields(expr string, loc *time.Location) (Schedule, error) {
	fields := strings.Fields(expr)
	switch {
	case len(fields) == 6:
		return Schedule{}, fmt.Errorf("expected 5 fields, found 6: seconds are not supported; %s", Example)
	case len(fields) != 5:
		return Schedule{}, fmt.Errorf("expected 5 fields, found %d; %s", len(fields), Example)
	}
	parsed, err := cron.ParseStandard(strings.Join(fields, " "))
	spec, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok || empty(spec) {
		for i, f := range fields {
			if err := checkField(i, f); err != nil {
				return Schedule{}, err
			}
		}
		return Schedule{}, fmt.Errorf("%q is no cron expression; %s", expr, Example)
	}
	s := in(spec, loc)
	if s.Next(reference(), time.Time{}).IsZero() {
		return Schedule{}, fmt.Errorf("no such day: month %q has no day %q; %s", fields[3], fields[2], Example)
	}
	return s, nil
}

// reference is where Parse looks for a first slot. It is fixed, so that the answer does not depend
// on when it is asked; every day of the year comes within five years of it.
func reference() time.Time { return time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC) }

// checkField tries one field alone, so that the message can name it.
func checkField(i int, text string) error {
	names := [5]string{"minute", "hour", "day of month", "month", "day of week"}
	ranges := [5]string{"0-59", "0-23", "1-31", "1-12 or JAN-DEC", "0-6 or SUN-SAT"}
	probe := []string{"*", "*", "*", "*", "*"}
	probe[i] = text
	parsed, err := cron.ParseStandard(strings.Join(probe, " "))
	if spec, ok := parsed.(*cron.SpecSchedule); err == nil && ok && !empty(spec) {
		return nil
	}
	return fmt.Errorf("%s %q is not understood: write * or numbers of %s, as list (1,3), range (1-5) or step (*/2); %s", names[i], text, ranges[i], Example)
}

// empty tells whether a field has no value at all, as "," gives.
func empty(s *cron.SpecSchedule) bool {
	for _, bits := range []uint64{s.Minute, s.Hour, s.Dom, s.Month, s.Dow} {
		if bits&^starBit == 0 {
			return true
		}
	}
	return false
}

func in(spec *cron.SpecSchedule, loc *time.Location) Schedule {
	s := Schedule{spec: *spec}
	s.spec.Location = loc
	return s
}

// IsZero tells that s is the zero value, which has no slots.
func (s Schedule) IsZero() bool { return s.every == 0 && s.spec.Location == nil }

// Next returns the first slot later than after and later than created, in UTC; the zero time if
// there is none within fifteen years. "@every d" is counted from created, so that it does not move when
// the operator restarts: its slots are created+d, created+2d and so on.
func (s Schedule) Next(after, created time.Time) time.Time {
	if s.IsZero() {
		return time.Time{}
	}
	if after.Before(created) {
		after = created
	}
	if s.every > 0 {
		start := created.Unix()
		n := (after.Unix() - start) / s.every
		return time.Unix(start+(n+1)*s.every, 0).UTC()
	}
	return s.nextCron(after.Truncate(time.Second).Add(time.Second))
}

// Pace returns the shortest and the longest time between two slots in a row, as far as the slots of one
// hour and the first one after it tell.
func (s Schedule) Pace() (shortest, longest time.Duration) {
	if s.every > 0 {
		d := time.Duration(s.every) * time.Second
		return d, d
	}
	first := s.Next(reference(), time.Time{})
	for last := first; !last.IsZero() && last.Sub(first) < time.Hour; {
		next := s.Next(last, time.Time{})
		gap := next.Sub(last)
		if shortest == 0 || gap < shortest {
			shortest = gap
		}
		longest = max(longest, gap)
		last = next
	}
	return shortest, longest
}

// nextCron returns the first slot not earlier than from. Slots are the instants whose wall clock
// matches. robfig finds them as long as the clock is not changed: across a midnight that does not
// exist it loops for ever (America/Sao_Paulo, Pacific/Apia). So it is asked in UTC, once for each
// stretch of time between two changes of the zone's clock, shifted by that stretch's offset.
func (s Schedule) nextCron(from time.Time) time.Time {
	clock := s.spec
	clock.Location = time.UTC
	limit := from.AddDate(horizonYears, 0, 0)
	for from.Before(limit) {
		local := from.In(s.spec.Location)
		_, end := local.ZoneBounds()
		if !end.IsZero() && !end.After(from) {
			// The time package ends the years beyond its tables a day early in leap years.
			end = from.Add(time.Hour)
		}
		_, seconds := local.Zone()
		offset := time.Duration(seconds) * time.Second
		t := clock.Next(from.UTC().Add(offset - time.Second))
		switch {
		case !t.IsZero() && (end.IsZero() || t.Add(-offset).Before(end)):
			return t.Add(-offset)
		case end.IsZero():
			// robfig looks five years ahead only.
			from = from.AddDate(5, 0, 0)
		default:
			from = end
		}
	}
	return time.Time{}
}
