package protection_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/scheduler"
	"github.com/seed-731df569/stash/target"
)

// bucket is one rule of restic's forget: n snapshots are left to be kept, each the newest of its unit.
type bucket struct {
	n    int64
	unit func(t time.Time, nr int) int
	last int
}

// forget returns the snapshots that restic keeps, the newest first, by the rules that it documents: for
// each rule the newest snapshot of each of the last n units that have one, and the oldest of all while a
// rule has some left.
func forget(snapshots []time.Time, r *v1beta1.RetentionPolicy) []time.Time {
	if r.KeepLast+r.KeepHourly+r.KeepDaily+r.KeepWeekly+r.KeepMonthly+r.KeepYearly == 0 {
		return snapshots // without a rule restic removes nothing
	}
	buckets := []bucket{
		{r.KeepLast, func(_ time.Time, nr int) int { return nr }, -1},
		{r.KeepHourly, func(t time.Time, _ int) int { return (t.Year()*1000+t.YearDay())*24 + t.Hour() }, -1},
		{r.KeepDaily, func(t time.Time, _ int) int { return t.Year()*1000 + t.YearDay() }, -1},
		{r.KeepWeekly, func(t time.Time, _ int) int { y, w := t.ISOWeek(); return y*100 + w }, -1},
		{r.KeepMonthly, func(t time.Time, _ int) int { return t.Year()*100 + int(t.Month()) }, -1},
		{r.KeepYearly, func(t time.Time, _ int) int { return t.Year() }, -1},
	}
	var kept []time.Time
	for nr, s := range snapshots {
		keep := false
		for i := range buckets {
			b := &buckets[i]
			if b.n <= 0 {
				continue
			}
			if unit := b.unit(s, nr); unit != b.last || nr == len(snapshots)-1 {
				keep, b.last = true, unit
				b.n--
			}
		}
		if keep {
			kept = append(kept, s)
		}
	}
	return kept
}

// meets tells whether a policy that wants so much takes a configuration for protected.
func meets(t interface{ Fatal(args ...any) }, c *v1beta1.BackupConfiguration, least time.Duration) bool {
	p := &v1beta1.ProtectionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "production"}}
	p.Spec.Require.MinRetention = &metav1.Duration{Duration: least}
	policy, err := protection.New(p)
	if err != nil {
		t.Fatal(err)
	}
	o := &protection.Object{Kind: target.Deployment(), Namespace: protection.Namespace{Name: "demo"}, Name: "web", Persistent: true}
	o.Backups = []protection.Backup{{Configuration: c}}
	return policy.Judge(o, own).State == protection.Protected
}

// promised is the most that a policy can want of a configuration.
func promised(t interface{ Fatal(args ...any) }, c *v1beta1.BackupConfiguration) time.Duration {
	low, high := time.Duration(0), 100*365*24*time.Hour
	for high-low > time.Second {
		if mid := low + (high-low)/2; meets(t, c, mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// As soon as there have been backups for as long as a policy wants, a snapshot of that age is there after
// every run of restic's forget.
func TestWhatIsPromisedIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &v1beta1.BackupConfiguration{}
		c.Spec.Schedule = some(t, "schedule", "@hourly", "@daily", "0 3 * * *", "0 0,23 * * *", "30 */6 * * *", "@every 7h", "@every 25h",
			"0 3 * * 1-5", "@weekly", "59 23 * * 0", "0 0 1 * *", "0 0 31 * *", "0 12 1,28 * *", "@yearly", "@every 4000h")
		keep := func(label string, most int) int64 { return int64(rapid.IntRange(0, most).Draw(t, label)) }
		r := &c.Spec.RetentionPolicy
		r.KeepLast, r.KeepHourly, r.KeepDaily = keep("last", 6), keep("hourly", 6), keep("daily", 6)
		r.KeepWeekly, r.KeepMonthly, r.KeepYearly = keep("weekly", 5), keep("monthly", 15), keep("yearly", 3)
		for _, rule := range []*int64{&r.KeepLast, &r.KeepHourly, &r.KeepDaily, &r.KeepWeekly, &r.KeepMonthly, &r.KeepYearly} {
			if some(t, "without", true, false) {
				*rule = 0
			}
		}
		schedule, err := scheduler.Parse(c.Spec.Schedule, "")
		if err != nil {
			t.Fatal(err)
		}
		least := promised(t, c)
		created := time.Unix(rapid.Int64Range(1767225600, 1893456000).Draw(t, "start"), 0).UTC()
		at, first := created, time.Time{}
		var snapshots []time.Time
		for range 600 {
			if at = schedule.Next(at, created).UTC(); first.IsZero() {
				first = at
			}
			snapshots = forget(slices.Insert(snapshots, 0, at), r)
			if at.Sub(first) < least || len(snapshots) == 0 {
				continue
			}
			if oldest := at.Sub(snapshots[len(snapshots)-1]); oldest < least {
				t.Fatalf("%q with %+v promises %s: on %s the oldest is %s old", c.Spec.Schedule, *r, least, at, oldest)
			}
		}
	})
}

func TestHowFarCountsReach(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		schedule string
		keep     v1beta1.RetentionPolicy
		want     time.Duration
	}{
		"one a year is one snapshot":                                  {"@daily", v1beta1.RetentionPolicy{KeepYearly: 1}, 0},
		"one a day is one snapshot":                                   {"@daily", v1beta1.RetentionPolicy{KeepDaily: 1}, 0},
		"two a month are the last of February and the first of March": {"@daily", v1beta1.RetentionPolicy{KeepMonthly: 2}, day},
		"three a month hold February":                                 {"@daily", v1beta1.RetentionPolicy{KeepMonthly: 3}, 28 * day},
		"four a month hold a month of any length":                     {"@daily", v1beta1.RetentionPolicy{KeepMonthly: 4}, 59 * day},
		"fourteen a month hold a year":                                {"@daily", v1beta1.RetentionPolicy{KeepMonthly: 14}, 365 * day},
		"three a year hold a year":                                    {"@daily", v1beta1.RetentionPolicy{KeepYearly: 3}, 365 * day},
		"31 a day of a daily schedule have 30 days between":           {"@daily", v1beta1.RetentionPolicy{KeepDaily: 31}, 30 * day},
		"32 a day of an hourly schedule hold 30 days":                 {"@hourly", v1beta1.RetentionPolicy{KeepDaily: 32}, 30 * day},
		"six a week hold four":                                        {"@daily", v1beta1.RetentionPolicy{KeepWeekly: 6}, 28 * day},
		"the last 31 have 30 gaps":                                    {"@daily", v1beta1.RetentionPolicy{KeepLast: 31}, 30 * day},
		"the last may be those that lie the closest":                  {"0 0,23 * * *", v1beta1.RetentionPolicy{KeepLast: 3}, 2 * time.Hour},
		"a unit is as long as its schedule":                           {"@weekly", v1beta1.RetentionPolicy{KeepDaily: 5}, 28 * day},
		"of several rules one is enough":                              {"@daily", v1beta1.RetentionPolicy{KeepDaily: 8, KeepMonthly: 4}, 59 * day},
		"tags keep nothing of what is scheduled":                      {"@daily", v1beta1.RetentionPolicy{KeepTags: []string{"release"}}, 0},
		"without a rule nothing is removed":                           {"@daily", v1beta1.RetentionPolicy{Prune: true}, 100 * 365 * day},
		"without a schedule nothing is kept":                          {"", v1beta1.RetentionPolicy{KeepDaily: 30}, 0},
		"not even where nothing is removed":                           {"", v1beta1.RetentionPolicy{DryRun: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			conf := &v1beta1.BackupConfiguration{}
			conf.Spec.Schedule, conf.Spec.RetentionPolicy = c.schedule, c.keep
			if got := promised(t, conf); got.Round(time.Minute) != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
