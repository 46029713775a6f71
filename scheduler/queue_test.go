package scheduler

import (
	"fmt"
	"regexp"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

func TestQueue(t *testing.T) {
	created := at(t, "2026-01-01T00:00:00Z")
	q := NewQueue()
	if _, ok := q.NextTime(); ok || len(q.PopDue(created)) > 0 {
		t.Fatal("a new queue is not empty")
	}
	q.Set("demo/hourly", parse(t, "0 * * * *", ""), created, created)
	q.Set("demo/daily", parse(t, "@daily", "Europe/Berlin"), created, created)
	q.Set("demo/gone", parse(t, "* * * * *", ""), created, created)
	q.Remove("demo/gone")
	q.Remove("demo/never")
	if next, _ := q.NextTime(); !next.Equal(at(t, "2026-01-01T01:00:00Z")) || q.Len() != 2 {
		t.Fatalf("next is %s of %d", next, q.Len())
	}
	if due := q.PopDue(at(t, "2026-01-01T00:59:59Z")); len(due) > 0 {
		t.Fatalf("too early: %v", due)
	}
	got := q.PopDue(at(t, "2026-01-01T23:30:00Z"))
	want := []Due{
		{"demo/hourly", at(t, "2026-01-01T23:00:00Z"), 23},
		{"demo/daily", at(t, "2026-01-01T23:00:00Z"), 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if due := q.PopDue(at(t, "2026-01-01T23:30:00Z")); len(due) > 0 {
		t.Fatalf("twice: %v", due)
	}
	if next, ok := q.Next("demo/daily"); !ok || !next.Equal(at(t, "2026-01-02T23:00:00Z")) {
		t.Fatalf("the daily one is next at %s", next)
	}
	if slot := q.Set("demo/daily", Schedule{}, created, created); !slot.IsZero() || q.Len() != 1 {
		t.Fatal("a schedule without slots stays in the queue")
	}
}

func TestQueueAgreesWithAskingEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type config struct {
			s             Schedule
			created, last time.Time
		}
		q, model := NewQueue(), map[string]config{}
		now := drawTime(t, "start").Truncate(time.Second)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			key := fmt.Sprintf("demo/%d", rapid.IntRange(0, 5).Draw(t, "key"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				c := config{drawSchedule(t), now.Add(-time.Hour), now}
				model[key] = c
				q.Set(key, c.s, c.created, c.last)
			case 1:
				delete(model, key)
				q.Remove(key)
			default:
				now = now.Add(time.Duration(rapid.IntRange(1, 100_000).Draw(t, "seconds")) * time.Second)
				due := q.PopDue(now)
				for i, d := range due {
					c := model[d.Key]
					slot, count, ok := c.s.Missed(c.last, c.created, now)
					if !ok || !slot.Equal(d.Slot) || count != d.Missed {
						t.Fatalf("due %v, want %s, %d, %v", d, slot, count, ok)
					}
					c.last = slot
					model[d.Key] = c
					for _, e := range due[:i] {
						if e.Key == d.Key {
							t.Fatalf("%s came twice", d.Key)
						}
					}
				}
				for key, c := range model {
					if slot, _, ok := c.s.Missed(c.last, c.created, now); ok {
						t.Fatalf("%s was not popped for %s", key, slot)
					}
				}
			}
			if q.Len() != len(model) {
				t.Fatalf("queue of %d, model of %d", q.Len(), len(model))
			}
		}
	})
}

const many = 100_000

func fill(b testing.TB) *Queue {
	b.Helper()
	q, created := NewQueue(), at(b, "2026-01-01T00:00:00Z")
	for i := range many {
		s := parse(b, fmt.Sprintf("%d %d * * *", i%60, i/60%24), "")
		q.Set(fmt.Sprintf("namespace-%d/deploy-some-workload-%d", i%1000, i), s, created, created)
	}
	return q
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := Parse("0 */6 * * *", ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseWithZone(b *testing.B) {
	for b.Loop() {
		if _, err := Parse("0 */6 * * *", "Europe/Berlin"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	s, now := parse(b, "15 3 * * SUN", "Europe/Berlin"), at(b, "2026-01-01T00:00:00Z")
	for b.Loop() {
		s.Next(now, now)
	}
}

func BenchmarkMissedYear(b *testing.B) {
	s, now := parse(b, "* * * * *", "Europe/Berlin"), at(b, "2026-01-01T00:00:00Z")
	for b.Loop() {
		s.Missed(now.AddDate(-1, 0, 0), now.AddDate(-1, 0, 0), now)
	}
}

// BenchmarkQueueDay lets a day pass, minute by minute, over 100,000 schedules.
func BenchmarkQueueDay(b *testing.B) {
	q, now := fill(b), at(b, "2026-01-01T00:00:00Z")
	popped := 0
	b.ReportAllocs()
	for b.Loop() {
		for range 24 * 60 {
			now = now.Add(time.Minute)
			popped += len(q.PopDue(now))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(popped), "ns/due")
}

// BenchmarkQueueMemory reports the bytes that one of 100,000 schedules takes, key and all.
func BenchmarkQueueMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		q := fill(b)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/schedule")
		runtime.KeepAlive(q)
	}
}
