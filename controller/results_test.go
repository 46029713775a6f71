package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/target"
)

func sidecar(pod, uid string) broker.Identity {
	return broker.Identity{
		Namespace: "demo", Pod: pod, PodUID: uid, Role: protocol.RoleSidecar,
		Owner: broker.Owner{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db"},
	}
}

func success(id string) protocol.Result {
	return protocol.Result{
		ID: id, Finished: noon(),
		Backups: []protocol.PathBackup{{Path: "/data", Summary: restic.BackupSummary{SnapshotID: "0123456789", TotalFilesProcessed: 3}}},
	}
}

func TestAResultIsTakenFromItsOwnPodOnly(t *testing.T) {
	stranger := sidecar("db-1", "p1")
	stranger.Owner.Name = "other"
	successor := sidecar("db-0", "p9")
	cases := map[string]struct {
		id     broker.Identity
		task   string
		change func(*v1beta1.BackupSession)
		want   int
	}{
		"of the work that it has":                  {sidecar("db-0", "p0"), "s1/host-0/1", nil, 1},
		"of the work of another pod":               {sidecar("db-1", "p1"), "s1/host-0/1", nil, 0},
		"of a pod of another workload":             {stranger, "s1/host-1/1", nil, 0},
		"of an attempt that never was":             {sidecar("db-1", "p1"), "s1/host-0/7", nil, 0},
		"of its host, after the work was taken":    {successor, "s1/host-0/1", func(bs *v1beta1.BackupSession) { released(bs) }, 1},
		"of another host, after it was taken":      {sidecar("db-1", "p1"), "s1/host-0/1", func(bs *v1beta1.BackupSession) { released(bs) }, 0},
		"of a host that the session does not have": {sidecar("db-7", "p7"), "s1/host-7/1", nil, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bs := running()
			if c.change != nil {
				c.change(bs)
			}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, configuration(), bs))
			if err := g.Result(t.Context(), c.id, success(c.task)); err != nil {
				t.Fatal(err)
			}
			got := read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0]
			if len(got.Stats) != c.want {
				t.Errorf("%d results are stored, want %d: %+v", len(got.Stats), c.want, got.Stats)
			}
			if c.want == 0 && len(got.Assignments) != len(bs.Status.Targets[0].Assignments) {
				t.Error("an assignment was taken away")
			}
		})
	}
}

// released takes host-0 from its pod.
func released(bs *v1beta1.BackupSession) {
	t := &bs.Status.Targets[0]
	t.Assignments = t.Assignments[1:]
	t.Released = []v1beta1.ReleasedHost{{Hostname: "host-0", Attempts: 1}}
}

func TestWordsOfAnotherPodChangeNothing(t *testing.T) {
	g := NewAgents(newWorld(t, interceptor.Funcs{}, configuration(), running()))
	id := sidecar("db-1", "p1")
	for _, err := range []error{
		g.Accepted(t.Context(), id, "s1/host-0/1"), g.Alive(t.Context(), id, []string{"s1/host-0/1"}),
		g.Progress(t.Context(), id, protocol.Progress{ID: "s1/host-0/1", BytesDone: 5}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	a := read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0].Assignments[0]
	if a.Acknowledged != nil || a.LastSeen != nil || a.Progress != nil {
		t.Errorf("host-0 was spoken for: %+v", a)
	}
}

func TestAnAgentThatLivesIsNotLost(t *testing.T) {
	now := metav1.NewTime(noon())
	for name, c := range map[string]struct {
		a    v1beta1.Assignment
		role protocol.Role
		lost bool
	}{
		"a backup":                   {v1beta1.Assignment{Lost: &now, Searched: true}, protocol.RoleSidecar, false},
		"a backup that must stop":    {v1beta1.Assignment{Lost: &now, Cancelled: true}, protocol.RoleSidecar, true},
		"a restore given to another": {v1beta1.Assignment{Lost: &now}, protocol.RoleInit, true},
	} {
		t.Run(name, func(t *testing.T) {
			revive(&c.a, c.role, now)
			if (c.a.Lost != nil) != c.lost || c.a.LastSeen == nil {
				t.Errorf("%+v", c.a)
			}
			if !c.lost && c.a.Searched {
				t.Error("when it is lost again nobody would look for it")
			}
		})
	}
}

// What comes late from an agent that was given up: a success wins, a failure leaves the host to the
// next attempt, as long as there is one.
func TestALateResult(t *testing.T) {
	failure := protocol.Result{ID: "s1/host-0/1", Finished: noon(), Error: "connection refused", Reason: protocol.ReasonUnreachable}
	retried := func(bs *v1beta1.BackupSession) {
		released(bs)
		t := &bs.Status.Targets[0]
		t.Assignments = append(t.Assignments, v1beta1.Assignment{ID: "s1/host-0/2", Hostname: "host-0", Pod: "db-0", PodUID: "p9", Attempt: 2})
	}
	lost := func(attempt int32) func(*v1beta1.BackupSession) {
		return func(bs *v1beta1.BackupSession) {
			a := &bs.Status.Targets[0].Assignments[0]
			a.Attempt, a.Lost, a.LastSeen = attempt, agoP(time.Minute), agoP(4*time.Minute)
		}
	}
	cases := map[string]struct {
		change  func(*v1beta1.BackupSession)
		result  protocol.Result
		stats   v1beta1.HostBackupPhase
		retries bool
	}{
		"a success while another tries":      {retried, success("s1/host-0/1"), v1beta1.HostBackupSucceeded, false},
		"a failure while another tries":      {retried, failure, "", true},
		"a failure before another tries":     {released, failure, "", false},
		"a success of a lost agent":          {lost(1), success("s1/host-0/1"), v1beta1.HostBackupSucceeded, false},
		"a failure of a lost agent":          {lost(1), failure, "", true},
		"a failure of the last that may try": {lost(3), failure, v1beta1.HostBackupFailed, false},
		"a failure of one that was not lost": {nil, failure, v1beta1.HostBackupFailed, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bs := running()
			if c.change != nil {
				c.change(bs)
			}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, configuration(), bs))
			if err := g.Result(t.Context(), sidecar("db-0", "p0"), c.result); err != nil {
				t.Fatal(err)
			}
			st := read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0]
			var phase v1beta1.HostBackupPhase
			if len(st.Stats) > 0 {
				phase = st.Stats[0].Phase
			}
			if phase != c.stats {
				t.Errorf("host-0 is %q, want %q", phase, c.stats)
			}
			if got := len(st.Assignments) == 2; got != c.retries {
				t.Errorf("assignments are %+v", st.Assignments)
			}
		})
	}
}

func TestALostAgentIsSeenWhenItIsBack(t *testing.T) {
	bs := running()
	bs.Status.Targets[0].Assignments[0].Lost = agoP(time.Minute)
	g := NewAgents(newWorld(t, interceptor.Funcs{}, configuration(), bs))
	for _, busy := range []bool{true, false} {
		if o, err := g.Orders(t.Context(), sidecar("db-0", "p0"), func(string) bool { return busy }); err != nil || len(o.Tasks) > 0 {
			t.Fatalf("%+v, %v", o, err)
		}
		a := read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0].Assignments[0]
		if seen := a.LastSeen != nil && a.LastSeen.After(a.Lost.Time); seen == busy {
			t.Errorf("it has the work: %v, seen without it: %v", busy, seen)
		}
	}
}

// A decoder leaves in place what an answer does not mention: an attempt that lost against another
// writer must not leave its changes to the next.
func TestAConflictDoesNotMixTwoVersions(t *testing.T) {
	bs := running()
	tries := 0
	w := newWorld(t, interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
		if tries++; tries > 1 {
			return c.SubResource(sub).Update(ctx, obj, opts...)
		}
		return apierrors.NewConflict(schema.GroupResource{}, "shop-1", nil)
	}}, configuration(), bs)
	first := true
	err := updateStatus(t.Context(), w, client.ObjectKeyFromObject(bs), &v1beta1.BackupSession{}, func(bs *v1beta1.BackupSession) (bool, error) {
		a := &bs.Status.Targets[0].Assignments[0]
		if first {
			first = false
			a.Lost, a.Searched = agoP(0), true
			return true, nil
		}
		if a.Lost != nil || a.Searched {
			t.Errorf("the second attempt sees the changes of the first: %+v", a)
		}
		return true, nil
	})
	if err != nil || tries != 2 {
		t.Fatalf("%d tries, %v", tries, err)
	}
}

func TestProgressIsForgottenInTheEnd(t *testing.T) {
	p := &progressTimes{}
	now := noon()
	for i := range 5 * maxProgress {
		p.due(strings.Repeat("x", i%7)+now.String(), now)
		now = now.Add(progressEvery)
	}
	if len(p.last) > maxProgress+1 {
		t.Errorf("%d tasks are remembered", len(p.last))
	}
}

// restoring is a restore whose pod works, with the lost work of another.
func restoring() *v1beta1.RestoreSession {
	rs := &v1beta1.RestoreSession{}
	rs.Namespace, rs.Name, rs.UID, rs.CreationTimestamp = "demo", "back", "q1", ago(time.Minute)
	rs.Spec.Repository.Name = "repo"
	rs.Spec.Target = &v1beta1.RestoreTarget{Ref: configuration().Spec.Target.Ref}
	rs.Status.Phase, rs.Status.Hash = v1beta1.RestoreRunning, mutators.HashRestore("q1")
	rs.Status.Conditions = []api.Condition{{Type: api.SnapshotsPinned, Status: metav1.ConditionTrue}}
	rs.Status.Assignments = []v1beta1.Assignment{
		{ID: "q1/host-0/p0/1", Hostname: "host-0", Pod: "db-0", PodUID: "p0", Attempt: 1, Lost: agoP(time.Minute)},
		{ID: "q1/host-0/p9/2", Hostname: "host-0", Pod: "db-0", PodUID: "p9", Attempt: 2},
	}
	return rs
}

func initContainer(uid string) broker.Identity {
	return broker.Identity{Namespace: "demo", Pod: "db-0", PodUID: uid, Role: protocol.RoleInit, Restore: mutators.HashRestore("q1"), Places: []target.Place{{Path: "/data", Volume: target.Lasting{Claim: "data"}}}}
}

func TestARestoreIsReportedByThePodThatHasTheWork(t *testing.T) {
	cases := map[string]struct {
		pod, task string
		alone     bool
		stored    bool
		repeats   bool
	}{
		"its own":                           {pod: "p9", task: "q1/host-0/p9/2", stored: true},
		"a pod that has no work":            {pod: "p5", task: "q1/host-0/p5/1"},
		"a pod with the work of another":    {pod: "p5", task: "q1/host-0/p9/2"},
		"one that lost it to another":       {pod: "p0", task: "q1/host-0/p0/1", repeats: true},
		"one that lost it to nobody so far": {pod: "p0", task: "q1/host-0/p0/1", alone: true, stored: true},
		"its own, of an earlier attempt":    {pod: "p9", task: "q1/host-0/p9/1", stored: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rs := restoring()
			if c.alone {
				rs.Status.Assignments = rs.Status.Assignments[:1]
			}
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "data", UID: "v1"}}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, rs, claim))
			err := g.Result(t.Context(), initContainer(c.pod), protocol.Result{ID: c.task, Finished: noon()})
			if (err != nil) != c.repeats {
				t.Fatalf("got %v", err)
			}
			st := read(t, g.World, "demo", "back", &v1beta1.RestoreSession{}).Status
			if (len(st.Restored) == 1) != c.stored || (len(st.Stats) == 1) != c.stored {
				t.Errorf("restored %+v, stats %+v", st.Restored, st.Stats)
			}
			if c.stored && (st.Restored[0].PodUID != c.pod || st.Restored[0].Claims[0] != "v1") {
				t.Errorf("restored %+v", st.Restored)
			}
		})
	}
}

// The agent was killed after it had failed, and has the work again.
func TestTheFailureOfAnEarlierRestoreIsNotThePresentOnes(t *testing.T) {
	g := NewAgents(newWorld(t, interceptor.Funcs{}, restoring()))
	if err := g.Result(t.Context(), initContainer("p9"), protocol.Result{ID: "q1/host-0/p9/1", Error: "no"}); err != nil {
		t.Fatal(err)
	}
	if st := read(t, g.World, "demo", "back", &v1beta1.RestoreSession{}).Status; len(st.Stats) > 0 || len(st.Assignments) != 2 {
		t.Errorf("%+v", st)
	}
}

func TestDeletingARestoreLetsItsPodsStart(t *testing.T) {
	g := NewAgents(newWorld(t, interceptor.Funcs{}))
	has := func(string) bool { return false }
	if o, err := g.Orders(t.Context(), initContainer("p9"), has); err != nil || !o.Finish {
		t.Errorf("after deletion: %+v, %v", o, err)
	}
	// The cache may not have it yet.
	behind := newWorld(t, interceptor.Funcs{})
	behind.Live = newWorld(t, interceptor.Funcs{}, restoring()).Client
	if o, err := NewAgents(behind).Orders(t.Context(), initContainer("p9"), has); err != nil || o.Finish || o.Wait == "" {
		t.Errorf("before the cache knows it: %+v, %v", o, err)
	}
	// A failed one is said to be so.
	failed := restoring()
	failed.Status.Phase, failed.Status.Assignments = v1beta1.RestoreFailed, nil
	if o, err := NewAgents(newWorld(t, interceptor.Funcs{}, failed)).Orders(t.Context(), initContainer("p9"), has); err != nil || !strings.Contains(o.Refuse, "delete this RestoreSession") {
		t.Errorf("after a failure: %+v, %v", o, err)
	}
}

// A restore whose Secret or Repository is gone, or closed to it, waits for it with the application down: its
// status says for what, and it goes on by itself.
func TestARestoreThatIsKeptFromItsWorkSaysWhyAndGoesOn(t *testing.T) {
	closed := repository()
	closed.Namespace = "other"
	for name, c := range map[string]struct {
		secret *corev1.Secret
		repo   *v1alpha1.Repository
		mend   client.Object
		want   string
	}{
		"its Secret was deleted":                    {nil, repository(), keys(), `Secret "demo/keys"`},
		"its Repository was deleted":                {keys(), nil, repository(), `Repository "repo" does not exist`},
		"its Repository does not admit it any more": {nil, closed, nil, "usagePolicy"},
	} {
		t.Run(name, func(t *testing.T) {
			rs := restoring()
			rs.Status.Pinned = []v1beta1.PinnedSnapshot{{Hostname: "host-0", ID: "aa", Path: "/data"}}
			objs := []client.Object{rs}
			if c.secret != nil {
				objs = append(objs, c.secret)
			}
			if c.repo != nil {
				rs.Spec.Repository.Namespace = c.repo.Namespace
				objs = append(objs, c.repo)
			}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, objs...))
			held := func() v1beta1.Assignment {
				return read(t, g.World, "demo", "back", &v1beta1.RestoreSession{}).Status.Assignments[1]
			}
			nothing := func(string) bool { return false }
			if o, err := g.Orders(t.Context(), initContainer("p9"), nothing); err != nil || len(o.Tasks) > 0 || !strings.Contains(o.Wait, c.want) {
				t.Fatalf("%+v, %v", o, err)
			}
			if a := held(); a.Held == nil || !strings.Contains(a.HeldReason, c.want) {
				t.Fatalf("the status says %q", a.HeldReason)
			}
			if c.mend == nil {
				return
			}
			if err := g.Create(t.Context(), c.mend); err != nil {
				t.Fatal(err)
			}
			if o, err := g.Orders(t.Context(), initContainer("p9"), nothing); err != nil || len(o.Tasks) != 1 {
				t.Fatalf("once it is mended: %+v, %v", o, err)
			}
			if err := g.Accepted(t.Context(), initContainer("p9"), "q1/host-0/p9/2"); err != nil {
				t.Fatal(err)
			}
			if a := held(); a.HeldReason != "" {
				t.Errorf("it still says %q", a.HeldReason)
			}
		})
	}
}

// A Secret that is gone fails the host with that reason, and keeps nobody else from working.
func TestWhatKeepsOneSessionFromItsWorkKeepsNoOther(t *testing.T) {
	broken, other := running(), running()
	c, repo := configuration(), repository()
	repo.Name, repo.UID = "gone", "r2"
	repo.Spec.Backend.StorageSecretName = "missing"
	c.Name = "broken"
	c.Spec.Repository.Name = "gone"
	broken.Name, broken.UID, broken.Spec.Invoker.Name = "broken-1", "s0", "broken"
	broken.Status.Targets[0].Assignments = []v1beta1.Assignment{{ID: "s0/host-0/1", Hostname: "host-0", PodUID: "p0"}}
	g := NewAgents(newWorld(t, interceptor.Funcs{}, c, repo, broken, configuration(), repository(), keys(), other))
	o, err := g.Orders(t.Context(), sidecar("db-0", "p0"), func(string) bool { return false })
	if err != nil || len(o.Tasks) != 1 || o.Tasks[0].ID != "s1/host-0/1" {
		t.Fatalf("%+v, %v; %+v", o, err, read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0].Stats)
	}
	st := read(t, g.World, "demo", "broken-1", &v1beta1.BackupSession{}).Status.Targets[0].Stats
	if len(st) != 1 || !strings.Contains(st[0].Error, "missing") {
		t.Errorf("the broken one says %+v", st)
	}
}
