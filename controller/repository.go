package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// Repositories sees to what repositories need: a probe, one init, retention, searches, checks.
type Repositories struct {
	*World
}

// Reconcile does the next thing that a Repository needs.
func (r *Repositories) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	repo := &v1alpha1.Repository{}
	if err := r.Get(ctx, req.NamespacedName, repo); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if repo.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	o, err := r.observe(ctx, repo)
	if err != nil {
		return ctrl.Result{}, err
	}
	a := session.NextWork(o, r.Now())
	res, err := r.act(ctx, o, a)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return res, err
}

func (r *Repositories) act(ctx context.Context, o *session.Repository, a session.WorkAction) (ctrl.Result, error) {
	repo := o.Repository.DeepCopy()
	before := repo.Status.DeepCopy()
	after, release := a.After, ""
	refer(repo, o)
	if session.Interrupted(repo, r.Now()) == nil {
		repo.Status.Interrupted = nil // what was kept for it is freed as any claim that nobody knows
	}
	r.workerWorks(o, repo, a)
	session.SayWaiting(repo, a, r.Now())
	switch {
	case a.Unreached && !a.Abandon:
		r.noWorker(repo, session.ReasonNotConnected, a.Message)
	case a.Abandon:
		var err error
		if release, err = r.abandon(ctx, repo, a); err != nil {
			return ctrl.Result{}, err
		}
		if a.Unreached {
			r.noWorker(repo, session.ReasonNotConnected, a.Message)
		}
		after = time.Second
	case a.NeedWorker:
		missing, err := r.ensureWorker(ctx, repo)
		if err != nil {
			return ctrl.Result{}, err
		}
		r.sayWorker(repo, missing)
		if missing.Refused != "" {
			after = refusedAgain
		}
	case a.Operation != "":
		wait, err := r.begin(ctx, o, repo, a)
		if err != nil {
			return ctrl.Result{}, err
		}
		after = wait
	case o.Problem != "":
		r.unusable(repo, o.Problem)
	}
	if !equalStatus(before, &repo.Status) {
		if err := client.IgnoreNotFound(r.Status().Update(ctx, repo)); err != nil {
			return ctrl.Result{}, fmt.Errorf("write status: %w", err)
		}
	}
	// Only now: what was decided on something old is not written, and holds its location still.
	if release != "" {
		if err := r.unclaim(ctx, repo, release); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// refusedAgain is when a worker that was refused is tried again: quotas are not watched.
const refusedAgain = 15 * time.Second

// sayWorker says in the status what keeps the worker from running.
func (r *Repositories) sayWorker(repo *v1alpha1.Repository, missing session.MissingWorker) {
	reason, message := missing.Trouble(r.Now())
	if reason == "" {
		return // it is being made: what was said before holds until it works
	}
	r.noWorker(repo, reason, message)
}

// workerWorks takes back what was said of the worker when it works, or when nothing is to be done. One
// that runs has not reached the operator by that.
func (r *Repositories) workerWorks(o *session.Repository, repo *v1alpha1.Repository, a session.WorkAction) {
	c := api.FindCondition(repo.Status.Conditions, api.WorkerReady)
	if c == nil {
		return
	}
	idle := a == (session.WorkAction{After: a.After}) && o.Problem == ""
	works := o.Worker != nil
	if c.Reason == session.ReasonNotConnected {
		works = repo.Status.Work != nil && repo.Status.Work.AskedTime != nil
	}
	if idle || works {
		api.RemoveCondition(&repo.Status.Conditions, api.WorkerReady)
	}
}

// noWorker says in the status what keeps the worker from work.
func (r *Repositories) noWorker(repo *v1alpha1.Repository, reason, message string) {
	c := condition(api.WorkerReady, false, reason, message, repo.Generation)
	if api.SetCondition(&repo.Status.Conditions, c, metav1.NewTime(r.Now())) {
		r.event(repo, corev1.EventTypeWarning, reason, message)
	}
}

// begin gives an operation to the worker. Exclusive work takes the location first.
func (r *Repositories) begin(ctx context.Context, o *session.Repository, repo *v1alpha1.Repository, a session.WorkAction) (time.Duration, error) {
	id := string(uuid.NewUUID())
	if session.Exclusive(a.Operation) {
		if wait, err := r.take(ctx, repo, id); wait > 0 || err != nil {
			return wait, err
		}
	}
	repo.Status.Work = &v1alpha1.RepositoryWork{
		ID: id, Operation: a.Operation, Subject: a.Subject, SubjectUID: a.UID,
		Pod: o.Worker.Name, PodUID: o.Worker.UID, StartTime: metav1.NewTime(r.Now()),
		Generation: repo.Generation, StorageSecretVersion: o.SecretVersion,
	}
	if repo.Status.Phase == "" {
		repo.Status.Phase = v1alpha1.RepositoryPending
	}
	return 10 * time.Second, nil
}

// take takes the location for exclusive work, or says how long to wait for it.
func (r *Repositories) take(ctx context.Context, repo *v1alpha1.Repository, id string) (time.Duration, error) {
	if kept, err := r.takeOver(ctx, repo, id); kept || err != nil {
		return 0, err
	}
	other, err := r.claim(ctx, repo, id)
	if err != nil {
		return 0, err
	}
	if other != "" {
		return r.freeStaleClaim(ctx, repo, other)
	}
	if busy, err := r.agentsAt(ctx, repo); busy || err != nil {
		return 5 * time.Second, errors.Join(err, r.unclaim(ctx, repo, id))
	}
	return 0, nil
}

// freeStaleClaim removes the claim of work that no Repository knows any more: its Repository was
// deleted, or the claim was taken and the status could not be written.
func (r *Repositories) freeStaleClaim(ctx context.Context, repo *v1alpha1.Repository, holder string) (time.Duration, error) {
	alive, _, err := r.worksFor(ctx, holder, repo.Namespace)
	if err != nil {
		return 0, err
	}
	ns, name, id, ok := splitHolder(holder)
	if alive || !ok {
		return 2 * time.Second, nil
	}
	owner := repo.DeepCopy()
	owner.Namespace, owner.Name = ns, name
	return time.Second, r.unclaim(ctx, owner, id)
}

// abandon takes the work from a worker that is gone, and names it where its location is to be freed: unless
// it may have left an exclusive lock there, for then locks are looked at first.
func (r *Repositories) abandon(ctx context.Context, repo *v1alpha1.Repository, a session.WorkAction) (release string, err error) {
	w := repo.Status.Work
	interrupt := session.Interrupt
	if a.Unreached {
		interrupt = session.InterruptUnreached
	}
	if stays := interrupt(repo, *w, r.Now()); session.Exclusive(w.Operation) && !stays {
		release = w.ID
	}
	if w.Operation == v1alpha1.OperationFind {
		if err := r.notFound(ctx, w.Subject, restic.ReasonOther, a.Message); err != nil {
			return "", err
		}
	}
	r.Log.Warn("repository work was abandoned", "repository", repo.Namespace+"/"+repo.Name, "operation", string(w.Operation), "why", a.Message)
	repo.Status.Work = nil
	return release, nil
}

// unusable says in the status why nothing can be done.
func (r *Repositories) unusable(repo *v1alpha1.Repository, why string) {
	repo.Status.Phase = v1alpha1.RepositoryNotReady
	c := condition(api.BackendReachable, false, "BackendNotUsable", why, repo.Generation)
	if api.SetCondition(&repo.Status.Conditions, c, metav1.NewTime(r.Now())) {
		r.event(repo, corev1.EventTypeWarning, "BackendNotUsable", why)
	}
	// Whatever is mended, the backend is asked anew.
	repo.Status.LastProbeTime = nil
}

// refer lists the objects that use the Repository in its status, and when they last succeeded.
func refer(repo *v1alpha1.Repository, o *session.Repository) {
	refs := make([]api.ObjectReference, 0, len(o.Users))
	for _, u := range o.Users {
		refs = append(refs, api.ObjectReference{APIGroup: api.Group, Kind: v1beta1.KindBackupConfiguration, Namespace: u.Config.Namespace, Name: u.Config.Name})
	}
	if !slices.Equal(refs, repo.Status.References) {
		repo.Status.References = refs
	}
	repo.Status.Retentions = slices.DeleteFunc(repo.Status.Retentions, func(r v1alpha1.RetentionStatus) bool {
		return !slices.ContainsFunc(o.Users, func(u session.User) bool { return u.Invoker == r.Invoker })
	})
	for _, u := range o.Users {
		at := u.Config.Status.LastSuccessTime
		if at == nil {
			continue
		}
		if repo.Status.FirstBackupTime == nil {
			repo.Status.FirstBackupTime = at.DeepCopy()
		}
		if repo.Status.LastBackupTime == nil || repo.Status.LastBackupTime.Before(at) {
			repo.Status.LastBackupTime = at.DeepCopy()
		}
	}
}

// endWork takes the present work away before a worker began it; why is a fault that a person must
// mend, empty where there is none.
func (w *World) endWork(ctx context.Context, repo *v1alpha1.Repository, why string) error {
	var held *v1alpha1.Repository
	err := updateStatus(ctx, w, client.ObjectKeyFromObject(repo), &v1alpha1.Repository{}, func(live *v1alpha1.Repository) (bool, error) {
		held = nil
		if live.Status.Work == nil || repo.Status.Work == nil || live.Status.Work.ID != repo.Status.Work.ID {
			return false, nil
		}
		work := *live.Status.Work
		if session.Exclusive(work.Operation) && session.Interrupted(live, w.Now()) == nil {
			held = live
		}
		live.Status.Work = nil
		if why == "" || live.Generation != repo.Generation {
			return true, nil
		}
		live.Status.Phase = v1alpha1.RepositoryNotReady
		now := metav1.NewTime(w.Now())
		asked(live, work, now)
		api.SetCondition(&live.Status.Conditions, condition(api.BackendReachable, false, "BackendNotUsable", why, live.Generation), now)
		return true, nil
	})
	if err != nil || held == nil {
		return ignoreGone(err)
	}
	return w.unclaim(ctx, held, repo.Status.Work.ID)
}

// asProblem returns the text of a fault that a user can mend.
func asProblem(err error) (string, bool) {
	if p, ok := errors.AsType[*problem](err); ok {
		return p.Error(), true
	}
	return "", false
}
