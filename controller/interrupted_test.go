package controller

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// maintained is a Repository whose worker is in the middle of an operation.
func maintained(op v1alpha1.RepositoryOperation) *v1alpha1.Repository {
	repo := repository()
	repo.Generation = 1
	st := &repo.Status
	st.ObservedGeneration, st.LastProbeTime, st.LastListTime = 1, agoP(time.Hour), agoP(time.Minute)
	st.Conditions = []api.Condition{
		condition(api.BackendReachable, true, "BackendAnswered", "", 1),
		condition(api.BackendRepositoryInitialized, true, "BackendRepositoryFound", "", 1),
	}
	st.Work = &v1alpha1.RepositoryWork{
		ID: "w1", Operation: op, Subject: "BackupConfiguration/demo/shop", Pod: "w", PodUID: "p1",
		Generation: 1, StartTime: ago(time.Minute), AskedTime: agoP(time.Minute),
	}
	st.Holders = []v1alpha1.Holder{{Namespace: "demo", Pod: "w", UID: "p1", Unique: true, Since: agoP(time.Minute)}}
	return repo
}

// The worker is killed in its middle. Neither a backup that was assigned meanwhile nor a restore runs into
// its lock: they wait until it is removed, which does not wait for them.
func TestNobodyRunsIntoTheLockOfAWorkerThatDied(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, maintained(v1alpha1.OperationForget), keys(), configuration(), running())
	repo := read(t, w, "demo", "repo", &v1alpha1.Repository{})
	if err := w.Create(t.Context(), lease(w, repo, "demo/repo/w1", time.Hour)); err != nil {
		t.Fatal(err)
	}
	r := &Repositories{World: w}
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(repo)}
	if _, err := r.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	repo = read(t, w, "demo", "repo", &v1alpha1.Repository{})
	if st := repo.Status; st.Work != nil || st.Interrupted == nil || len(st.Locks) != 1 || st.Locks[0] != session.UnknownLock {
		t.Fatalf("after the worker died: %+v", st)
	}
	const look = `a look at the locks that Forget of Repository "repo" may have left, whose worker ended in its middle (until 2026-03-01T12:50:00Z at the latest)`
	if by, err := w.exclusiveWork(t.Context(), repo); by != look || err != nil {
		t.Fatalf("sessions and restores wait for %q, %v", by, err)
	}
	g := NewAgents(w)
	has := func(string) bool { return false }
	if o, err := g.Orders(t.Context(), sidecar("db-0", "p0"), has); err != nil || len(o.Tasks) > 0 || !strings.Contains(o.Wait, look) {
		t.Fatalf("its agent is told %+v, %v", o, err)
	}

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "w2", UID: "p2"}}
	o, err := r.observe(t.Context(), repo)
	if err != nil || !o.Busy {
		t.Fatalf("%+v, %v", o, err)
	}
	o.Worker = &session.Pod{Name: pod.Name, UID: string(pod.UID), Agent: true, Ready: true}
	a := session.NextWork(o, w.Now())
	if _, err := r.act(t.Context(), o, a); err != nil || a.Operation != v1alpha1.OperationUnlock {
		t.Fatalf("%+v, %v", a, err)
	}
	id := worker()
	id.Pod, id.PodUID = "w2", "p2"
	orders, err := g.Orders(t.Context(), id, has)
	if err != nil || len(orders.Tasks) != 1 || len(orders.Tasks[0].Maintain.Dead) != 1 || orders.Tasks[0].Maintain.Dead[0].Hostname != "w" {
		t.Fatalf("the next worker is told %+v, %v", orders, err)
	}
	result := protocol.Result{ID: orders.Tasks[0].ID, Finished: noon(), Maintained: &protocol.Maintained{
		Locks: []restic.Lock{{ID: "l", Hostname: "w", Exclusive: true}}, Unlocked: true,
	}}
	if err := g.Result(t.Context(), id, result); err != nil {
		t.Fatal(err)
	}
	if st := read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status; st.Interrupted != nil || len(st.Locks) > 0 {
		t.Errorf("after the look: %+v", st)
	}
	if o, err := g.Orders(t.Context(), sidecar("db-0", "p0"), has); err != nil || len(o.Tasks) != 1 {
		t.Errorf("the agent that waited is told %+v, %v", o, err)
	}
}

// What may have left an exclusive lock keeps the location until somebody has looked.
func TestALocationStaysTakenUntilLocksWereLookedAt(t *testing.T) {
	other := func(op v1alpha1.RepositoryOperation, change func(*v1alpha1.Repository)) *v1alpha1.Repository {
		repo := maintained(op)
		change(repo)
		return repo
	}
	interrupted := func(repo *v1alpha1.Repository) {
		repo.Status.Interrupted = &v1alpha1.InterruptedWork{
			Operation: v1alpha1.OperationForget, PodUID: "p1", Generation: 1, Time: ago(time.Minute), Until: ago(-49 * time.Minute),
		}
	}
	failed := func(reason restic.Reason) protocol.Result { return protocol.Result{Error: "x", Reason: reason} }
	seen := func(unlocked bool, locks ...restic.Lock) protocol.Result {
		return protocol.Result{Maintained: &protocol.Maintained{Locks: locks, Unlocked: unlocked}}
	}
	its, anothers := restic.Lock{Hostname: "w", Exclusive: true}, restic.Lock{Hostname: "x"}
	for name, c := range map[string]struct {
		repo   *v1alpha1.Repository
		result *protocol.Result
		taken  bool
	}{
		"retention whose worker died":                   {maintained(v1alpha1.OperationForget), nil, true},
		"a check whose worker died":                     {maintained(v1alpha1.OperationCheck), nil, true},
		"an init whose worker died":                     {maintained(v1alpha1.OperationInit), nil, false},
		"a look whose worker died":                      {other(v1alpha1.OperationUnlock, interrupted), nil, true},
		"an idle look whose worker died":                {maintained(v1alpha1.OperationUnlock), nil, false},
		"retention that no worker took":                 {other(v1alpha1.OperationForget, func(r *v1alpha1.Repository) { r.Status.Work.AskedTime = nil }), nil, false},
		"retention of an earlier spec":                  {other(v1alpha1.OperationForget, func(r *v1alpha1.Repository) { r.Generation = 2 }), nil, false},
		"retention whose restic was killed":             {maintained(v1alpha1.OperationForget), new(failed(restic.ReasonOther)), true},
		"a check that lost its backend":                 {maintained(v1alpha1.OperationCheck), new(failed(restic.ReasonUnreachable)), true},
		"retention that may not delete":                 {maintained(v1alpha1.OperationForget), new(failed(restic.ReasonAccessDenied)), true},
		"retention that got no lock":                    {maintained(v1alpha1.OperationForget), new(failed(restic.ReasonLocked)), false},
		"retention that succeeded":                      {maintained(v1alpha1.OperationForget), new(seen(false)), false},
		"a look that removed the lock":                  {other(v1alpha1.OperationUnlock, interrupted), new(seen(true, its)), false},
		"a look that found none":                        {other(v1alpha1.OperationUnlock, interrupted), new(seen(false)), false},
		"a look that found but a stranger's":            {other(v1alpha1.OperationUnlock, interrupted), new(seen(false, anothers)), false},
		"a look that could not tell whether it is dead": {other(v1alpha1.OperationUnlock, interrupted), new(seen(false, its)), true},
		"a look that lost its backend":                  {other(v1alpha1.OperationUnlock, interrupted), new(failed(restic.ReasonUnreachable)), true},
		"a look that the backend refused":               {other(v1alpha1.OperationUnlock, interrupted), new(failed(restic.ReasonAccessDenied)), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, c.repo, keys(), configuration())
			l := lease(w, c.repo, "demo/repo/w1", time.Hour)
			if err := w.Create(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			var err error
			if c.result == nil {
				_, err = (&Repositories{World: w}).Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c.repo)})
			} else {
				c.result.ID = "w1"
				err = NewAgents(w).Result(t.Context(), worker(), *c.result)
			}
			if err != nil {
				t.Fatal(err)
			}
			repo := read(t, w, "demo", "repo", &v1alpha1.Repository{})
			err = w.Get(t.Context(), client.ObjectKeyFromObject(l), &coordinationv1.Lease{})
			if apierrors.IsNotFound(err) == c.taken || (session.Interrupted(repo, noon()) != nil) != c.taken || repo.Status.Work != nil {
				t.Errorf("the claim: %v, the status: %+v", err, repo.Status)
			}
			w.Now = func() time.Time { return noon().Add(time.Hour) }
			if by, err := w.exclusiveWork(t.Context(), repo); by != "" || err != nil {
				t.Errorf("an hour later %q is still waited for, %v", by, err)
			}
		})
	}
}
