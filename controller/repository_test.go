package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

func TestAClaimThatNobodyKnowsIsFreed(t *testing.T) {
	cases := map[string]struct {
		holder string
		age    time.Duration
		work   string
		held   bool
	}{
		"work that is done now":             {"demo/repo/w1", time.Hour, "w1", true},
		"work that is about to begin":       {"demo/repo/w1", time.Second, "", true},
		"work of a leader that died before": {"demo/repo/w1", time.Hour, "", false},
		"work that another one followed":    {"demo/repo/w1", time.Hour, "w2", false},
		"work of a deleted Repository":      {"demo/gone/w1", time.Hour, "", false},
		"a holder that nobody understands":  {"x", time.Hour, "", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			repo := repository()
			if c.work != "" {
				repo.Status.Work = &v1alpha1.RepositoryWork{ID: c.work, Operation: v1alpha1.OperationForget}
			}
			w := newWorld(t, interceptor.Funcs{}, repo)
			l := lease(w, repo, c.holder, c.age)
			if err := w.Create(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			got, err := w.exclusiveWork(t.Context(), repo)
			if err != nil || (got != "") != c.held {
				t.Fatalf("%q, %v", got, err)
			}
			err = w.Get(t.Context(), client.ObjectKeyFromObject(l), &coordinationv1.Lease{})
			if apierrors.IsNotFound(err) == c.held {
				t.Errorf("the claim: %v", err)
			}
		})
	}
}

func TestTwoNeverHoldOneLocation(t *testing.T) {
	a, b := repository(), repository()
	b.Name, b.UID = "other", "r2"
	w := newWorld(t, interceptor.Funcs{}, a, b)
	if other, err := w.claim(t.Context(), a, "w1"); other != "" || err != nil {
		t.Fatal(other, err)
	}
	if other, err := w.claim(t.Context(), b, "w2"); other != "demo/repo/w1" || err != nil {
		t.Fatal(other, err)
	}
	if err := w.unclaim(t.Context(), b, "w2"); err != nil {
		t.Fatal(err)
	}
	if other, err := w.claim(t.Context(), a, "w1"); other != "" || err != nil {
		t.Fatal("the claim of another was given back:", other, err)
	}
	if err := w.unclaim(t.Context(), a, "w1"); err != nil {
		t.Fatal(err)
	}
	if other, err := w.claim(t.Context(), b, "w2"); other != "" || err != nil {
		t.Fatal(other, err)
	}
}

// A leader that was replaced may have given exclusive work away after another took the location.
func TestExclusiveWorkIsHandedOutToTheHolderOfTheLocationOnly(t *testing.T) {
	for name, holder := range map[string]string{"another's": "demo/other/w9", "its own": "demo/repo/w1"} {
		t.Run(name, func(t *testing.T) {
			repo := repository()
			repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: v1alpha1.OperationInit, Pod: "w", PodUID: "p1"}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, keys()))
			if err := g.Create(t.Context(), lease(g.World, repo, holder, time.Second)); err != nil {
				t.Fatal(err)
			}
			o, err := g.Orders(t.Context(), worker(), func(string) bool { return false })
			if err != nil {
				t.Fatal(err)
			}
			left := read(t, g.World, "demo", "repo", &v1alpha1.Repository{}).Status.Work
			if own := holder == "demo/repo/w1"; (len(o.Tasks) == 1) != own || (left != nil) != own {
				t.Errorf("tasks %+v, work %+v", o.Tasks, left)
			}
		})
	}
}

func worker() broker.Identity {
	return broker.Identity{Namespace: "demo", Pod: "w", PodUID: "p1", Role: protocol.RoleWorker, Owner: broker.Owner{Kind: "Job", Name: "w"}}
}

// A configuration that is deleted while its retention waits is no fault of the backend.
func TestWorkWhoseSubjectIsGoneEndsWithoutBlame(t *testing.T) {
	for name, op := range map[string]v1alpha1.RepositoryWork{
		"retention": {ID: "w1", Operation: v1alpha1.OperationForget, Subject: "BackupConfiguration/demo/gone", PodUID: "p1"},
		"a search":  {ID: "w1", Operation: v1alpha1.OperationFind, Subject: "BackupSession/demo/gone", PodUID: "p1"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := repository()
			repo.Status.Work = &op
			repo.Status.Phase = v1alpha1.RepositoryReady
			g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, keys()))
			if err := g.Create(t.Context(), lease(g.World, repo, "demo/repo/w1", time.Second)); err != nil {
				t.Fatal(err)
			}
			o, err := g.Orders(t.Context(), worker(), func(string) bool { return false })
			st := read(t, g.World, "demo", "repo", &v1alpha1.Repository{}).Status
			if err != nil || len(o.Tasks) > 0 || st.Work != nil || st.Phase != v1alpha1.RepositoryReady || len(st.Conditions) > 0 {
				t.Errorf("%+v, %v: %+v", o, err, st)
			}
		})
	}
}

func TestLocksAreLookedAtAndRememberedUntilTheyAreGone(t *testing.T) {
	now := metav1.NewTime(noon())
	repo := repository()
	forget := v1alpha1.RepositoryWork{Operation: v1alpha1.OperationForget}
	unlock := v1alpha1.RepositoryWork{Operation: v1alpha1.OperationUnlock}
	recordWork(repo, forget, protocol.Result{Error: "locked", Reason: restic.ReasonLocked, Maintained: &protocol.Maintained{}}, now)
	if !cmp.Equal(repo.Status.Locks, []string{session.UnknownLock}) || len(repo.Status.Backoffs) != 1 {
		t.Fatalf("after a lock was met: %+v", repo.Status)
	}
	recordWork(repo, unlock, protocol.Result{Maintained: &protocol.Maintained{Locks: []restic.Lock{{Hostname: "x"}, {Hostname: "x"}, {Hostname: "y"}}}}, now)
	if !cmp.Equal(repo.Status.Locks, []string{"x", "y"}) || len(repo.Status.Backoffs) != 1 {
		t.Fatalf("after locks of others were seen: %+v", repo.Status)
	}
	recordWork(repo, unlock, protocol.Result{Maintained: &protocol.Maintained{Locks: []restic.Lock{{Hostname: "x"}}, Unlocked: true}}, now)
	if repo.Status.Locks != nil || len(repo.Status.Backoffs) > 0 {
		t.Fatalf("after they were removed: %+v", repo.Status)
	}
}

func TestLocksAreStillLookedAtAfterTheBackendWasAway(t *testing.T) {
	now := metav1.NewTime(noon())
	unreachable := protocol.Result{Error: "no route", Reason: restic.ReasonUnreachable, Finished: noon()}
	unknown := []string{session.UnknownLock}
	for name, c := range map[string]struct {
		before []string
		op     v1alpha1.RepositoryOperation
		result protocol.Result
		want   []string
	}{
		"a probe that fails":                  {unknown, v1alpha1.OperationProbe, unreachable, unknown},
		"a probe that succeeds":               {unknown, v1alpha1.OperationProbe, protocol.Result{Finished: noon()}, unknown},
		"an unlock that fails":                {unknown, v1alpha1.OperationUnlock, unreachable, unknown},
		"retention that is cut off":           {nil, v1alpha1.OperationForget, unreachable, unknown},
		"a first probe that fails":            {nil, v1alpha1.OperationProbe, unreachable, nil},
		"an unlock that can never succeed":    {unknown, v1alpha1.OperationUnlock, protocol.Result{Error: "odd", Reason: restic.ReasonOther}, nil},
		"an unlock of a repository that went": {unknown, v1alpha1.OperationUnlock, protocol.Result{Error: "none", Reason: restic.ReasonNoRepository}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			repo := repository()
			repo.Status.Locks = c.before
			repo.Status.Holders = []v1alpha1.Holder{{Namespace: "demo", Pod: "worker", UID: "p1"}, {Namespace: "demo", Pod: "other", UID: "p2"}}
			recordWork(repo, v1alpha1.RepositoryWork{Operation: c.op, PodUID: "p1"}, c.result, now)
			if d := cmp.Diff(c.want, repo.Status.Locks); d != "" {
				t.Errorf("locks (-want +got):\n%s", d)
			}
			h := repo.Status.Holders
			if known := h[0].Ended != nil; known != (c.result.Error != "" && !c.result.Finished.IsZero()) || h[1].Ended != nil {
				t.Errorf("holders: %+v", h)
			}
		})
	}
}

// A pod that was lost may have left a lock, though nothing has been kept waiting by it yet.
func TestLocksThatNobodyHoldsAreLookedAt(t *testing.T) {
	now := metav1.NewTime(noon())
	for name, c := range map[string]struct {
		work v1alpha1.RepositoryWork
		m    protocol.Maintained
		want []string
	}{
		"a list that saw a lock": {
			v1alpha1.RepositoryWork{Operation: v1alpha1.OperationList},
			protocol.Maintained{Locks: []restic.Lock{{ID: "a"}}},
			[]string{session.UnknownLock},
		},
		"a search for a lost backup": {
			v1alpha1.RepositoryWork{Operation: v1alpha1.OperationFind, Subject: "BackupSession/demo/one"},
			protocol.Maintained{},
			[]string{session.UnknownLock},
		},
		"a search for a restore": {
			v1alpha1.RepositoryWork{Operation: v1alpha1.OperationFind, Subject: "RestoreSession/demo/one"},
			protocol.Maintained{},
			nil,
		},
		"a list that saw none": {v1alpha1.RepositoryWork{Operation: v1alpha1.OperationList}, protocol.Maintained{}, nil},
	} {
		repo := repository()
		recordWork(repo, c.work, protocol.Result{Maintained: &c.m}, now)
		if d := cmp.Diff(c.want, repo.Status.Locks); d != "" {
			t.Errorf("%s: locks (-want +got):\n%s", name, d)
		}
	}
}

func TestAFailureSaysWhatItIsAbout(t *testing.T) {
	now := metav1.NewTime(noon())
	for op, c := range map[v1alpha1.RepositoryOperation]struct {
		reason restic.Reason
		want   string
	}{
		v1alpha1.OperationProbe:  {restic.ReasonOther, api.BackendReachable},
		v1alpha1.OperationInit:   {restic.ReasonOther, api.BackendRepositoryInitialized},
		v1alpha1.OperationForget: {restic.ReasonOther, api.RetentionPolicyApplied},
		v1alpha1.OperationCheck:  {restic.ReasonOther, api.RepositoryIntegrityVerified},
		v1alpha1.OperationList:   {restic.ReasonWrongPassword, api.BackendReachable},
		v1alpha1.OperationFind:   {restic.ReasonNoRepository, api.BackendRepositoryInitialized},
	} {
		t.Run(string(op), func(t *testing.T) {
			repo := repository()
			r := protocol.Result{Error: strings.Repeat("é", maxErrorLength), Reason: c.reason}
			for range 40 {
				recordWork(repo, v1alpha1.RepositoryWork{Operation: op}, r, now)
			}
			cond := api.FindCondition(repo.Status.Conditions, c.want)
			if cond == nil || cond.Status != metav1.ConditionFalse || len(cond.Message) > maxErrorLength+3 {
				t.Errorf("%+v", repo.Status.Conditions)
			}
			next := repo.Status.NextAttempt
			for _, b := range repo.Status.Backoffs {
				next = &b.NextAttempt
			}
			if left := next.Sub(noon()); left != time.Hour {
				t.Errorf("the 40th failure is followed by %s", left)
			}
		})
	}
}

// Keys that may not delete fail retention after each backup. Backups go on: nothing else waits, and whether
// the backend can be used says a probe.
func TestRetentionThatMayNotDeleteIsNoFaultOfTheBackend(t *testing.T) {
	now := metav1.NewTime(noon())
	for op, kind := range map[v1alpha1.RepositoryOperation]string{
		v1alpha1.OperationForget: api.RetentionPolicyApplied, v1alpha1.OperationCheck: api.RepositoryIntegrityVerified, v1alpha1.OperationUnlock: "",
	} {
		t.Run(string(op), func(t *testing.T) {
			repo := repository()
			probe := v1alpha1.RepositoryWork{Operation: v1alpha1.OperationProbe}
			answered := protocol.Result{Maintained: &protocol.Maintained{Exists: new(true)}}
			recordWork(repo, probe, answered, now)
			for n := range 3 {
				recordWork(repo, v1alpha1.RepositoryWork{Operation: op}, protocol.Result{Error: "Access Denied", Reason: restic.ReasonAccessDenied}, now)
				st := repo.Status
				if st.Phase != v1alpha1.RepositoryReady || !api.IsTrue(st.Conditions, api.BackendReachable) || st.LastProbeTime != nil || st.NextAttempt != nil {
					t.Fatalf("after %d failures: %+v", n+1, st)
				}
				if kind != "" && !api.IsFalse(st.Conditions, kind) {
					t.Errorf("%s is not False: %+v", kind, st.Conditions)
				}
				recordWork(repo, probe, answered, now) // takes nothing back of what retention waits for
				if b := repo.Status.Backoffs; len(b) != 1 || b[0].Failures != int32(n+1) || b[0].NextAttempt.Sub(noon()) != session.Backoff(int32(n+1)) {
					t.Fatalf("after %d failures and a probe: %+v", n+1, b)
				}
			}
			recordWork(repo, v1alpha1.RepositoryWork{Operation: op}, protocol.Result{}, now)
			if len(repo.Status.Backoffs) > 0 {
				t.Errorf("after it succeeded: %+v", repo.Status.Backoffs)
			}
		})
	}
}

func TestAWorkerOnANodeWithoutPowerIsNotUsed(t *testing.T) {
	repo := repository()
	r := &Repositories{World: newWorld(t, interceptor.Funcs{}, repo, keys())}
	job, err := r.workerJob(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	job.UID = "j1"
	yes := true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "w", UID: "p1", OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: "j1", Controller: &yes,
		}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: api.ContainerWorker, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
		},
	}
	for _, o := range []client.Object{job, pod} {
		if err := r.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	o := &session.Repository{Repository: repo}
	if err := r.observeWorker(t.Context(), o); err != nil || o.Worker != nil {
		t.Errorf("%+v, %v", o.Worker, err)
	}
	pod.Status.Conditions[0].Status = corev1.ConditionTrue
	if err := r.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := r.observeWorker(t.Context(), o); err != nil || o.Worker == nil {
		t.Errorf("%+v, %v", o.Worker, err)
	}
}
