package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// edited is a Repository whose spec was changed while its worker did something for the spec before.
func edited(w v1alpha1.RepositoryWork) *v1alpha1.Repository {
	repo := repository()
	repo.Generation, repo.Status.ObservedGeneration = 2, 1
	repo.Status.LastProbeTime = agoP(time.Hour)
	w.ID, w.Pod, w.PodUID, w.Generation = "w1", "w", "p1", 1
	repo.Status.Work = &w
	return repo
}

// next is what the Repository needs next, as it stands in the status.
func next(t *testing.T, w *World) session.WorkAction {
	t.Helper()
	repo := read(t, w, "demo", "repo", &v1alpha1.Repository{})
	return session.NextWork(&session.Repository{Repository: repo, Worker: &session.Pod{Name: "w"}, Limits: w.Limits}, noon())
}

// A wrong endpoint is corrected while it is still being asked, or initialised: the corrected one is
// asked at once, and nothing is said of it before.
func TestWhatAnOldSpecLedToIsNotSaidOfTheNewOne(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		op     v1alpha1.RepositoryOperation
		result protocol.Result
	}{
		"a probe that fails":     {v1alpha1.OperationProbe, protocol.Result{Error: "no such host", Reason: restic.ReasonUnreachable}},
		"a probe that succeeds":  {v1alpha1.OperationProbe, protocol.Result{Maintained: &protocol.Maintained{Exists: &yes}}},
		"an init that succeeds":  {v1alpha1.OperationInit, protocol.Result{Maintained: &protocol.Maintained{}}},
		"an init that fails":     {v1alpha1.OperationInit, protocol.Result{Error: "denied", Reason: restic.ReasonAccessDenied}},
		"a list of its snapshot": {v1alpha1.OperationList, protocol.Result{Maintained: &protocol.Maintained{SnapshotCount: 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			repo := edited(v1alpha1.RepositoryWork{Operation: c.op})
			before := repo.Status.DeepCopy()
			g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, keys()))
			c.result.ID = "w1"
			if err := g.Result(t.Context(), worker(), c.result); err != nil {
				t.Fatal(err)
			}
			st := read(t, g.World, "demo", "repo", &v1alpha1.Repository{}).Status
			if before.Work = nil; !equalStatus(before, &st) {
				t.Errorf("(-before +after):\n%s", cmp.Diff(*before, st))
			}
			if a := next(t, g.World); a.Operation != v1alpha1.OperationProbe {
				t.Errorf("what follows is %+v", a)
			}
		})
	}
}

// What work for an old spec did is done, and what it met is there.
func TestWhatAnOldSpecLedToIsNotDoneTwice(t *testing.T) {
	repo := edited(v1alpha1.RepositoryWork{Operation: v1alpha1.OperationForget, Subject: "BackupConfiguration/demo/shop", SubjectUID: "s1"})
	bs := running()
	bs.Status.Phase = v1beta1.BackupSessionSucceeded
	g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, keys(), bs))
	err := g.Result(t.Context(), worker(), protocol.Result{ID: "w1", Maintained: &protocol.Maintained{Removed: 2, SnapshotCount: 3, Locks: []restic.Lock{{Hostname: "x"}}}})
	if err != nil {
		t.Fatal(err)
	}
	st := read(t, g.World, "demo", "repo", &v1alpha1.Repository{}).Status
	if len(st.Retentions) != 1 || st.Retentions[0].Session != "s1" || st.SnapshotCount != 0 || !cmp.Equal(st.Locks, []string{session.UnknownLock}) {
		t.Errorf("%+v", st)
	}
	if bs := read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}); !api.IsTrue(bs.Status.Conditions, api.RetentionPolicyApplied) {
		t.Errorf("the session does not say it: %+v", bs.Status.Conditions)
	}
}

// A search for an old spec finds the backup that was made with it, but says nothing to a restore.
func TestASearchForAnOldSpecBindsNoRestore(t *testing.T) {
	found := &protocol.Maintained{Snapshots: []restic.Snapshot{{ID: "aa", Hostname: "host-0", Paths: []string{"/data"}, Tags: []string{api.TagSession + "s1"}, Time: noon()}}}
	for name, r := range map[string]protocol.Result{
		"it finds something": {Maintained: found},
		"it can never end":   {Error: "no repository", Reason: restic.ReasonNoRepository},
	} {
		rs := restoring()
		rs.Status = v1beta1.RestoreSessionStatus{Phase: v1beta1.RestorePending, TotalHosts: new(int32(1))}
		bs := running()
		bs.Status.Targets[0].Assignments[0].Lost = agoP(time.Minute)
		for _, subject := range []string{"RestoreSession/" + rs.Namespace + "/" + rs.Name, "BackupSession/demo/shop-1"} {
			repo := edited(v1alpha1.RepositoryWork{Operation: v1alpha1.OperationFind, Subject: subject})
			g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, keys(), rs.DeepCopy(), bs.DeepCopy(), configuration()))
			r.ID = "w1"
			if err := g.Result(t.Context(), worker(), r); err != nil {
				t.Fatal(err)
			}
			rs := read(t, g.World, rs.Namespace, rs.Name, &v1beta1.RestoreSession{})
			if len(rs.Status.Conditions) > 0 || len(rs.Status.Pinned) > 0 || !session.Searching(rs.Status) {
				t.Errorf("%s: the restore is told %+v", name, rs.Status)
			}
			bs := read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{})
			if adopted := len(bs.Status.Targets[0].Stats) == 1; adopted != (r.Maintained != nil && subject == "BackupSession/demo/shop-1") {
				t.Errorf("%s, for %s: the backup is told %+v", name, subject, bs.Status.Targets[0])
			}
		}
	}
}

// The task is made of the spec as it is when it is handed out.
func TestWorkForAnOldSpecIsNotHandedOut(t *testing.T) {
	g := NewAgents(newWorld(t, interceptor.Funcs{}, edited(v1alpha1.RepositoryWork{Operation: v1alpha1.OperationProbe}), keys()))
	o, err := g.Orders(t.Context(), worker(), func(string) bool { return false })
	if err != nil || len(o.Tasks) > 0 {
		t.Errorf("%+v, %v", o, err)
	}
	if a := next(t, g.World); a.Operation != v1alpha1.OperationProbe {
		t.Errorf("what follows is %+v", a)
	}
}

// A key that does not fit is mended in the Secret, which is not watched: the backend is asked again
// within a minute, and not again and again while the Secret stays as it is.
func TestABackendIsAskedAgainWhenItsSecretHasChanged(t *testing.T) {
	repo := repository()
	w := newWorld(t, interceptor.Funcs{}, repo, keys())
	r := &Repositories{World: w}
	look := func() session.WorkAction {
		t.Helper()
		o, err := r.observe(t.Context(), read(t, w, "demo", "repo", &v1alpha1.Repository{}))
		if err != nil {
			t.Fatal(err)
		}
		if o.Worker = (&session.Pod{Name: "w", UID: "p1"}); o.Repository.Status.Work == nil {
			a := session.NextWork(o, noon())
			if _, err := r.act(t.Context(), o, a); err != nil {
				t.Fatal(err)
			}
			return a
		}
		return session.WorkAction{}
	}
	fail := func() {
		t.Helper()
		id := read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status.Work.ID
		if err := NewAgents(w).Result(t.Context(), worker(), protocol.Result{ID: id, Error: "denied", Reason: restic.ReasonAccessDenied}); err != nil {
			t.Fatal(err)
		}
	}
	if a := look(); a.Operation != v1alpha1.OperationProbe {
		t.Fatalf("%+v", a)
	}
	fail()
	for range 8 { // more and more seldom, as to the pause
		if err := updateStatus(t.Context(), w, client.ObjectKeyFromObject(repo), &v1alpha1.Repository{}, func(live *v1alpha1.Repository) (bool, error) {
			live.Status.Failures, live.Status.NextAttempt = 8, &metav1.Time{Time: noon().Add(time.Hour)}
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
		if a := look(); a.Operation != "" || a.After > time.Minute {
			t.Fatalf("%+v", a)
		}
	}
	secret := keys()
	secret.Data["AWS_ACCESS_KEY_ID"] = []byte("mended")
	if err := w.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if a := look(); a.Operation != v1alpha1.OperationProbe {
		t.Fatalf("%+v", a)
	}
	fail()
	if a := look(); a.Operation != "" {
		t.Errorf("%+v", a)
	}
}

// A fault that only shows when the work is handed out is no reason to hand it out again at once.
func TestAProblemIsSaidOfTheSpecThatHasIt(t *testing.T) {
	repo := edited(v1alpha1.RepositoryWork{Operation: v1alpha1.OperationProbe, StorageSecretVersion: "7"})
	repo.Status.Work.Generation = 2
	w := newWorld(t, interceptor.Funcs{}, repo)
	if err := w.endWork(t.Context(), repo, "no Secret"); err != nil {
		t.Fatal(err)
	}
	st := read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status
	if st.ObservedGeneration != 2 || st.StorageSecretVersion != "7" || !st.LastProbeTime.Time.Equal(noon()) {
		t.Errorf("%+v", st)
	}
}
