package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/restic"
)

// left is a snapshot that a lost agent of host-0 left behind.
func left(id string, began, took time.Duration, old bool) restic.Snapshot {
	s := restic.Snapshot{ID: id, Hostname: "host-0", Paths: []string{"/data"}, Tags: []string{api.TagSession + "s1"}, Time: noon().Add(began)}
	if !old {
		s.Summary = &restic.SnapshotSummary{BackupStart: s.Time, BackupEnd: s.Time.Add(took)}
	}
	return s
}

// The deadline is noon. A result that was complete before counts however late it is found.
func TestWhatIsFoundCountsIfItWasInTime(t *testing.T) {
	for name, c := range map[string]struct {
		found []restic.Snapshot
		want  string
	}{
		"complete before the deadline":             {[]restic.Snapshot{left("a", -2*time.Minute, time.Minute, false)}, "a"},
		"begun before it and complete after it":    {[]restic.Snapshot{left("a", -2*time.Minute, time.Hour, false)}, ""},
		"of an old restic, begun before it":        {[]restic.Snapshot{left("a", -2*time.Minute, 0, true)}, "a"},
		"of an old restic, begun after it":         {[]restic.Snapshot{left("a", time.Minute, 0, true)}, ""},
		"two attempts, of which the later is late": {[]restic.Snapshot{left("b", -time.Minute, time.Hour, false), left("a", -9*time.Minute, time.Minute, false)}, "a"},
		"nothing": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bs := running()
			bs.Status.SessionDeadline = agoP(0)
			bs.Status.Targets[0].Assignments[0].Lost = agoP(time.Minute)
			g := NewAgents(newWorld(t, interceptor.Funcs{}, configuration(), bs))
			if err := g.found(t.Context(), "BackupSession/demo/shop-1", c.found); err != nil {
				t.Fatal(err)
			}
			st := read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0]
			got := ""
			if len(st.Stats) == 1 && st.Stats[0].Adopted {
				got = st.Stats[0].Snapshots[0].ID
			}
			if got != c.want {
				t.Errorf("adopted %q, want %q: %+v", got, c.want, st.Stats)
			}
			if c.want == "" && !st.Assignments[0].Searched {
				t.Error("it is searched for ever")
			}
		})
	}
}

func TestAResultAfterTheDeadlineMendsNothing(t *testing.T) {
	failed := func(over bool) *v1beta1.BackupSession {
		bs := running()
		bs.Status.SessionDeadline = agoP(5 * time.Minute)
		bs.Status.Targets[0].Assignments = bs.Status.Targets[0].Assignments[1:]
		bs.Status.Targets[0].Stats = []v1beta1.HostBackupStats{{Hostname: "host-0", Phase: v1beta1.HostBackupFailed, Error: "too late"}}
		if over {
			bs.Status.Phase = v1beta1.BackupSessionFailed
			bs.Status.Targets[0].Assignments = nil
		}
		return bs
	}
	for name, c := range map[string]struct {
		over     bool
		finished time.Duration
		want     v1beta1.HostBackupPhase
	}{
		"while others are still at work":          {false, -time.Minute, v1beta1.HostBackupFailed},
		"when the session is over":                {true, -time.Minute, v1beta1.HostBackupFailed},
		"in time, while others are still at work": {false, -6 * time.Minute, v1beta1.HostBackupSucceeded},
		"in time, when the session is over":       {true, -6 * time.Minute, v1beta1.HostBackupSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewAgents(newWorld(t, interceptor.Funcs{}, configuration(), failed(c.over)))
			r := success("s1/host-0/1")
			r.Finished = noon().Add(c.finished)
			if err := g.Result(t.Context(), sidecar("db-0", "p0"), r); err != nil {
				t.Fatal(err)
			}
			st := read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0]
			if st.Stats[0].Phase != c.want {
				t.Errorf("it is %+v", st.Stats[0])
			}
		})
	}
}

func TestAMendedSessionSaysWhatIsMissing(t *testing.T) {
	bs := running()
	bs.Status.Phase = v1beta1.BackupSessionFailed
	bs.Status.Targets[0].Assignments = nil
	bs.Status.Targets[0].Stats = []v1beta1.HostBackupStats{{Hostname: "host-0", Phase: v1beta1.HostBackupFailed}, {Hostname: "host-1", Phase: v1beta1.HostBackupSucceeded, Adopted: true}}
	g := NewAgents(newWorld(t, interceptor.Funcs{}, configuration(), bs))
	r := success("s1/host-0/1")
	r.Backups[0].UnreadableCount = 2
	if err := g.Result(t.Context(), sidecar("db-0", "p0"), r); err != nil {
		t.Fatal(err)
	}
	if err := g.Get(t.Context(), client.ObjectKeyFromObject(bs), bs); err != nil {
		t.Fatal(err)
	}
	c := api.FindCondition(bs.Status.Conditions, api.Incomplete)
	if bs.Status.Phase != v1beta1.BackupSessionSucceeded || c == nil || c.Status != metav1.ConditionTrue {
		t.Errorf("%s, %+v", bs.Status.Phase, c)
	}
}
