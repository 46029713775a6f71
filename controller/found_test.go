package controller

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
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
			if err := g.found(t.Context(), "BackupSession/demo/shop-1", &protocol.Maintained{Snapshots: c.found}); err != nil {
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

// Of what had files, an empty snapshot may be one of which nothing could be read: its agent failed.
func TestAnEmptySnapshotIsNotTakenForASuccess(t *testing.T) {
	for name, c := range map[string]struct {
		complete []v1beta1.CompleteSnapshot
		files    int64
		old      bool
		want     int
	}{
		"it never had files":          {nil, 0, false, 1},
		"another path had files":      {[]v1beta1.CompleteSnapshot{{Path: "/logs"}}, 0, false, 1},
		"it had files":                {[]v1beta1.CompleteSnapshot{{Path: "/data"}}, 0, false, 0},
		"it had files, and has some":  {[]v1beta1.CompleteSnapshot{{Path: "/data"}}, 1, false, 1},
		"nobody knows whether it has": {[]v1beta1.CompleteSnapshot{{Path: "/data"}}, 0, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bs, config := running(), configuration()
			bs.Status.Targets[0].Assignments[0].Lost = agoP(time.Minute)
			config.Status.Hosts = []v1beta1.HostResult{{Hostname: "host-0", Complete: c.complete}}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, config, bs))
			s := left("a", -2*time.Minute, time.Minute, c.old)
			if s.Summary != nil {
				s.Summary.TotalFilesProcessed = c.files
			}
			if err := g.found(t.Context(), "BackupSession/demo/shop-1", &protocol.Maintained{Snapshots: []restic.Snapshot{s}}); err != nil {
				t.Fatal(err)
			}
			if st := read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0]; len(st.Stats) != c.want {
				t.Errorf("%+v", st.Stats)
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

// pinning is a restore of a StatefulSet of two that waits for its snapshots, and what it needs around it.
func pinning(replicas int32) (*v1beta1.RestoreSession, *appsv1.StatefulSet, *v1alpha1.Repository) {
	rs := restoring()
	two := int32(2)
	rs.Spec.Target.Rules = []v1beta1.Rule{{Snapshots: []string{"latest"}}}
	rs.Status = v1beta1.RestoreSessionStatus{Phase: v1beta1.RestorePending, TotalHosts: &two}
	sts := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db", UID: "sts"}, Spec: appsv1.StatefulSetSpec{Replicas: &replicas}}
	repo := repository()
	repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: v1alpha1.OperationFind, PodUID: "p1", Subject: "RestoreSession/demo/back"}
	return rs, sts, repo
}

func snapshotOf(host string) restic.Snapshot {
	return restic.Snapshot{ID: "id-" + host, Hostname: host, Paths: []string{"/data"}, Time: noon()}
}

func TestASearchThatFailsIsSaidAndRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		reason restic.Reason
		again  bool
	}{
		"for a while": {restic.ReasonUnreachable, true},
		"for good":    {restic.ReasonWrongPassword, false},
		"who knows":   {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			rs, sts, repo := pinning(2)
			g := NewAgents(newWorld(t, interceptor.Funcs{}, rs, sts, repo))
			if err := g.Result(t.Context(), worker(), protocol.Result{ID: "w1", Error: "open repository: no", Reason: c.reason}); err != nil {
				t.Fatal(err)
			}
			st := read(t, g.World, "demo", "back", &v1beta1.RestoreSession{}).Status
			cond := api.FindCondition(st.Conditions, api.SnapshotsPinned)
			if cond == nil || cond.Status != metav1.ConditionFalse || cond.Message != "open repository: no" || cond.Reason == "" {
				t.Fatalf("it says %+v", cond)
			}
			o := &session.Repository{Repository: repo}
			if err := (&Repositories{World: g.World}).observePins(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if got := len(o.Searches) == 1; got != c.again {
				t.Errorf("it is searched again: %v", got)
			}
			if !c.again {
				return
			}
			if err := g.found(t.Context(), "RestoreSession/demo/back", &protocol.Maintained{Snapshots: []restic.Snapshot{snapshotOf("host-0"), snapshotOf("host-1")}}); err != nil {
				t.Fatal(err)
			}
			if st = read(t, g.World, "demo", "back", &v1beta1.RestoreSession{}).Status; !api.IsTrue(st.Conditions, api.SnapshotsPinned) || len(st.Pinned) != 2 {
				t.Errorf("%+v, %+v", st.Conditions, st.Pinned)
			}
		})
	}
}

// A worker that dies each time it looks says nothing: who waits is told all the same.
func TestASearchThatIsAbandonedIsSaid(t *testing.T) {
	rs, sts, repo := pinning(2)
	w := newWorld(t, interceptor.Funcs{}, rs, sts, repo)
	if _, err := (&Repositories{World: w}).abandon(t.Context(), repo, session.WorkAction{Message: "worker ended"}); err != nil {
		t.Fatal(err)
	}
	c := api.FindCondition(read(t, w, "demo", "back", &v1beta1.RestoreSession{}).Status.Conditions, api.SnapshotsPinned)
	if c == nil || c.Status != metav1.ConditionFalse || c.Message != "worker ended" {
		t.Errorf("it says %+v", c)
	}
}

func TestATargetThatIsGoneEndsItsSearch(t *testing.T) {
	rs, _, repo := pinning(2)
	g := NewAgents(newWorld(t, interceptor.Funcs{}, rs, repo))
	if err := g.Result(t.Context(), worker(), protocol.Result{ID: "w1", Maintained: &protocol.Maintained{}}); err != nil {
		t.Fatalf("the worker repeats it for ever: %v", err)
	}
	if c := api.FindCondition(read(t, g.World, "demo", "back", &v1beta1.RestoreSession{}).Status.Conditions, api.SnapshotsPinned); c == nil || c.Reason != "TargetNotFound" {
		t.Errorf("it says %+v", c)
	}
}

// Scaled up in the middle of the restore: one of the new hosts was backed up once, the other never.
func TestHostsThatAppearLaterGetTheirSnapshots(t *testing.T) {
	rs, sts, repo := pinning(4)
	rs.Status.Phase = v1beta1.RestoreRunning
	session.Choose(&rs.Status, session.Wish{Rules: rs.Spec.Target.Rules}, []string{"host-0", "host-1"}, []session.Found{
		{ID: "a", Host: "host-0", Paths: []string{"/data"}}, {ID: "b", Host: "host-1", Paths: []string{"/data"}},
	}, 1, metav1.NewTime(noon()))
	w := newWorld(t, interceptor.Funcs{}, rs, sts, repo)
	r := &RestoreSessions{World: w, Ended: func() {}}
	for _, h := range []string{"host-2", "host-3"} {
		o := &session.Restore{Session: read(t, w, "demo", "back", &v1beta1.RestoreSession{}), TargetFound: true, HostNames: []string{"host-0", "host-1", "host-2", "host-3"}}
		if _, err := r.act(t.Context(), o, session.Action{Kind: session.KindPin, Host: h}); err != nil {
			t.Fatal(err)
		}
	}
	st := read(t, w, "demo", "back", &v1beta1.RestoreSession{}).Status
	if !session.Searching(st) || *st.TotalHosts != 4 {
		t.Fatalf("nobody looks for theirs: %+v", st)
	}
	if c := api.FindCondition(st.Conditions, api.SnapshotsPinned); c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "none for host-2") {
		t.Errorf("it says %+v", c)
	}
	g := NewAgents(w)
	if err := g.notFound(t.Context(), "RestoreSession/demo/back", restic.ReasonUnreachable, "connection refused"); err != nil {
		t.Fatal(err)
	}
	st = read(t, w, "demo", "back", &v1beta1.RestoreSession{}).Status
	if c := api.FindCondition(st.Conditions, api.SnapshotsPinned); !session.Searching(st) || c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "connection refused") {
		t.Fatalf("a failure is not said, or is final: %+v", st)
	}
	found := []restic.Snapshot{snapshotOf("host-0"), snapshotOf("host-1"), snapshotOf("host-2")}
	if err := g.Result(t.Context(), worker(), protocol.Result{ID: "w1", Maintained: &protocol.Maintained{Snapshots: found}}); err != nil {
		t.Fatal(err)
	}
	st = read(t, w, "demo", "back", &v1beta1.RestoreSession{}).Status
	if len(st.Pinned) != 3 || st.Pinned[0].ID != "a" || st.Pinned[2].Hostname != "host-2" {
		t.Errorf("pinned are %+v", st.Pinned)
	}
	if len(st.Stats) != 1 || st.Stats[0].Hostname != "host-3" || st.Stats[0].Phase != v1beta1.HostRestoreFailed || !strings.Contains(st.Stats[0].Error, "sourceHost") {
		t.Errorf("stats are %+v", st.Stats)
	}
	if c := api.FindCondition(st.Conditions, api.SnapshotsPinned); c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "none for host-3") {
		t.Errorf("it says %+v", c)
	}
}

// What was restored stays restored, whatever became of the other hosts.
func TestAHostThatIsRestoredStartsThoughOthersFailed(t *testing.T) {
	rs := restoring()
	rs.Status.Phase, rs.Status.Assignments = v1beta1.RestoreFailed, nil
	rs.Status.Restored = []v1beta1.RestoredHost{{Hostname: "host-0", PodUID: "p9", Claims: []string{"v1"}}}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "data", UID: "v1"}}
	other := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "other", UID: "v2"}}
	g := NewAgents(newWorld(t, interceptor.Funcs{}, rs, claim, other))
	has := func(string) bool { return false }
	if o, err := g.Orders(t.Context(), initContainer("later"), has); err != nil || !o.Finish {
		t.Errorf("a pod on its volume: %+v, %v", o, err)
	}
	id := initContainer("another")
	id.Places = []target.Place{{Path: "/data", Volume: target.Lasting{Claim: "other"}}}
	if o, err := g.Orders(t.Context(), id, has); err != nil || o.Finish || o.Refuse == "" {
		t.Errorf("a pod on another: %+v, %v", o, err)
	}
}

// A webhook that was down lets pass what the session then refuses, before anything is touched.
func TestARestoreIsHeldToItsTargetUntilItBegins(t *testing.T) {
	for name, c := range map[string]struct {
		pinned bool
		want   string
	}{"before it begins": {false, "emptyDir"}, "when it has begun": {true, ""}} {
		t.Run(name, func(t *testing.T) {
			rs, sts, _ := pinning(2)
			rs.Status.Conditions = []api.Condition{{Type: api.SnapshotsPinned, Status: map[bool]metav1.ConditionStatus{true: metav1.ConditionTrue, false: metav1.ConditionUnknown}[c.pinned]}}
			rs.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "cache", MountPath: "/cache"}}
			sts.Spec.Template.Spec.Volumes = []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
				{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			}
			o, err := (&RestoreSessions{World: newWorld(t, interceptor.Funcs{}, rs, sts, repository())}).observe(t.Context(), rs)
			if err != nil || (o.Invalid == "") != (c.want == "") || !strings.Contains(o.Invalid, c.want) {
				t.Errorf("invalid: %q, %v", o.Invalid, err)
			}
		})
	}
}
