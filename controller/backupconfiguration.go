package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/scheduler"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// defaultHistory is how many finished sessions are kept where the configuration does not say.
const defaultHistory = 1

// readyAgain is the least time after which a configuration that is ready is looked at again.
const readyAgain = 4 * time.Hour

// BackupConfigurations keeps the conditions, the schedule and the history of configurations.
type BackupConfigurations struct {
	*World
	Schedule *Schedule
}

// Reconcile brings one configuration up to date.
func (r *BackupConfigurations) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	key := req.String()
	c := &v1beta1.BackupConfiguration{}
	if err := r.Get(ctx, req.NamespacedName, c); err != nil {
		if apierrors.IsNotFound(err) {
			r.Schedule.Remove(key)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("read BackupConfiguration: %w", err)
	}
	if c.DeletionTimestamp != nil {
		r.Schedule.Remove(key)
		return ctrl.Result{}, nil
	}
	before := c.Status.DeepCopy()
	c = c.DeepCopy()
	over, err := r.update(ctx, c)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !equalStatus(before, &c.Status) {
		err := r.Status().Update(ctx, c)
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
		}
		if client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, fmt.Errorf("write status: %w", err)
		}
	}
	// Only now: what they have to tell is in the status.
	if err := r.forget(ctx, over); err != nil {
		return ctrl.Result{}, err
	}
	// A Secret is not watched: its coming is seen by looking again. Its backend and its sidecar are.
	if settled(c) != v1beta1.BackupInvokerReady {
		return ctrl.Result{RequeueAfter: 10 * time.Second}, nil
	}
	// Its going is seen by the next session. A look now and then, spread, costs next to nothing.
	return ctrl.Result{RequeueAfter: readyAgain + rand.N(readyAgain)}, nil //nolint:gosec // jitter
}

// update brings the status up to date and returns the sessions that may be deleted once it is stored.
func (r *BackupConfigurations) update(ctx context.Context, c *v1beta1.BackupConfiguration) (over []v1beta1.BackupSession, err error) {
	c.Status.ObservedGeneration = c.Generation
	for _, step := range []func(context.Context, *v1beta1.BackupConfiguration) error{
		r.validate, r.repository, r.target, r.schedule,
	} {
		if err := step(ctx, c); err != nil {
			return nil, err
		}
	}
	if over, err = r.history(ctx, c); err != nil {
		return nil, err
	}
	if err := r.handOver(ctx, c); err != nil {
		return nil, err
	}
	c.Status.Phase = phase(c)
	return over, nil
}

// phase is what a person reads: one is not Ready either whose backup is known not to be possible now,
// since its backend cannot be reached or no pod has the sidecar.
func phase(c *v1beta1.BackupConfiguration) v1beta1.BackupConfigurationPhase {
	cond := c.Status.Conditions
	p := settled(c)
	if p == v1beta1.BackupInvokerReady && (api.IsFalse(cond, api.BackendReachable) || api.IsFalse(cond, api.StashSidecarInjected)) {
		return v1beta1.BackupInvokerNotReady
	}
	return p
}

// settled is Stash's phase, of what the configuration names: NotReady before Invalid before Ready.
func settled(c *v1beta1.BackupConfiguration) v1beta1.BackupConfigurationPhase {
	cond := c.Status.Conditions
	switch {
	case !api.IsTrue(cond, api.RepositoryFound) || !api.IsTrue(cond, api.BackendSecretFound):
		return v1beta1.BackupInvokerNotReady
	case api.IsFalse(cond, api.ValidationPassed):
		return v1beta1.BackupInvokerInvalid
	case api.IsTrue(cond, api.ValidationPassed) && api.IsTrue(cond, api.CronJobCreated) && api.IsTrue(cond, api.BackupTargetFound):
		return v1beta1.BackupInvokerReady
	}
	return v1beta1.BackupInvokerNotReady
}

func (r *BackupConfigurations) set(c *v1beta1.BackupConfiguration, kind string, ok bool, reason, message string) {
	changed := api.SetCondition(&c.Status.Conditions, condition(kind, ok, reason, message, c.Generation), metav1.NewTime(r.Now()))
	if changed && !ok {
		r.event(c, corev1.EventTypeWarning, reason, message)
	}
}

// validate runs the webhook's own rules.
func (r *BackupConfigurations) validate(ctx context.Context, c *v1beta1.BackupConfiguration) error {
	res, err := r.judge(ctx, c)
	if err != nil {
		return err
	}
	if len(res.Errors) > 0 {
		r.set(c, api.ValidationPassed, false, "ResourceValidationFailed", res.Errors.ToAggregate().Error())
		return nil
	}
	// What kubectl would have said to a person stands here for those who do not use it.
	r.set(c, api.ValidationPassed, true, "ResourceValidationPassed", shorten(strings.Join(append([]string{"the configuration is valid"}, res.Warnings...), "; ")))
	return nil
}

func (r *BackupConfigurations) repository(ctx context.Context, c *v1beta1.BackupConfiguration) error {
	repo, err := r.Repository(ctx, c.Spec.Repository, c.Namespace)
	if err != nil {
		return err
	}
	name := repositoryKey(c.Spec.Repository, c.Namespace)
	if repo == nil {
		r.set(c, api.RepositoryFound, false, "RepositoryNotAvailable", fmt.Sprintf("Repository %q does not exist", name))
		api.RemoveCondition(&c.Status.Conditions, api.BackendSecretFound)
		api.RemoveCondition(&c.Status.Conditions, api.BackendReachable)
		return nil
	}
	if why, err := r.refusal(ctx, c, repo); err != nil || why != "" {
		if err == nil {
			r.set(c, api.RepositoryFound, false, "NamespaceNotAllowed", why)
			api.RemoveCondition(&c.Status.Conditions, api.BackendReachable) // no business of theirs
		}
		return err
	}
	r.set(c, api.RepositoryFound, true, "RepositoryAvailable", fmt.Sprintf("Repository %q exists", name))
	r.backend(c, repo)
	if _, err := r.access(ctx, repo); err != nil {
		text, ok := asProblem(err)
		if !ok {
			return err
		}
		r.set(c, api.BackendSecretFound, false, "BackendSecretNotAvailable", text)
		return nil
	}
	r.set(c, api.BackendSecretFound, true, "BackendSecretAvailable", fmt.Sprintf("Secret \"%s/%s\" holds the keys that the backend needs", repo.Namespace, repo.Spec.Backend.StorageSecretName))
	return nil
}

func (r *BackupConfigurations) target(ctx context.Context, c *v1beta1.BackupConfiguration) error {
	if c.Spec.Target == nil {
		r.set(c, api.BackupTargetFound, false, "TargetNotAvailable", "spec.target is empty")
		return nil
	}
	ref := c.Spec.Target.Ref
	ns := target.Namespace(ref, c.Namespace)
	kind, found := target.FindRef(ref)
	job := found == nil && kind.Model == target.ModelJob // which no hook has to do with
	if why := target.Excluded(ns, r.Namespace); why != "" && !job {
		r.set(c, api.BackupTargetFound, false, "NamespaceExcluded", why)
		return nil
	}
	obj, _, err := r.Workload(ctx, ref, c.Namespace)
	switch {
	case errors.Is(err, target.ErrNotSupportedYet) || errors.Is(err, target.ErrUnknownKind):
		r.set(c, api.BackupTargetFound, false, "TargetNotAvailable", err.Error())
		return nil
	case err != nil:
		return err
	case obj == nil:
		r.set(c, api.BackupTargetFound, false, "TargetNotAvailable", fmt.Sprintf("%s \"%s/%s\" does not exist", ref.Kind, ns, ref.Name))
		return nil
	}
	r.set(c, api.BackupTargetFound, true, "TargetAvailable", fmt.Sprintf("%s \"%s/%s\" exists", ref.Kind, ns, ref.Name))
	if job {
		return r.ensureCA(ctx, ns)
	}
	yes := "true"
	if err := r.labelNamespace(ctx, ns, api.LabelManaged, &yes); err != nil {
		return err
	}
	return r.ensureCA(ctx, ns)
}

// reasonPaused tells, in the condition of the schedule, that it was paused when last looked at.
const reasonPaused = "Paused"

// schedule makes the schedule known. The condition keeps the name that scripts wait for.
func (r *BackupConfigurations) schedule(_ context.Context, c *v1beta1.BackupConfiguration) error {
	key := client.ObjectKeyFromObject(c).String()
	if c.Spec.Schedule == "" {
		r.Schedule.Remove(key)
		c.Status.NextSlot = nil
		r.set(c, api.CronJobCreated, true, "NotScheduled", "spec.schedule is empty: only BackupSessions made by hand run")
		return nil
	}
	s, err := scheduler.Parse(c.Spec.Schedule, c.Spec.TimeZone)
	if err != nil {
		r.Schedule.Remove(key)
		c.Status.NextSlot = nil
		r.set(c, api.CronJobCreated, false, "CronJobCreationFailed", "spec.schedule: "+err.Error())
		return nil //nolint:nilerr // said in the condition
	}
	if c.Spec.Paused {
		r.Schedule.Remove(key)
		c.Status.NextSlot = nil
		r.set(c, api.CronJobCreated, true, reasonPaused, "the schedule is paused; BackupSessions made by hand run")
		return nil
	}
	// What fell into a pause was not missed, however long ago the pause was last looked at.
	if cond := api.FindCondition(c.Status.Conditions, api.CronJobCreated); cond != nil && cond.Reason == reasonPaused {
		now := metav1.NewTime(r.Now().Truncate(time.Second))
		c.Status.LastSlot = &now
	}
	r.Schedule.disbelieve(c)
	next := metav1.NewTime(r.Schedule.Set(c, s))
	c.Status.NextSlot = &next
	r.set(c, api.CronJobCreated, true, "CronJobCreationSucceeded", "the schedule is known to the scheduler")
	return nil
}

// history carries results into the status and returns the finished sessions beyond the limit. That of
// a slot is kept until the slot is noted.
func (r *BackupConfigurations) history(ctx context.Context, c *v1beta1.BackupConfiguration) ([]v1beta1.BackupSession, error) {
	list, err := r.SessionsOf(ctx, c.Namespace, c.Name)
	if err != nil {
		return nil, err
	}
	var over []v1beta1.BackupSession
	for i := range list {
		bs := &list[i]
		if !session.Finished(bs.Status.Phase) {
			continue
		}
		track(c, bs)
		if retryPending(bs) || mayRecur(c, bs.Name, r.Now()) {
			continue
		}
		over = append(over, *bs)
	}
	limit := defaultHistory
	if l := c.Spec.BackupHistoryLimit; l != nil {
		limit = int(*l)
	}
	return session.BeyondLimit(session.WithoutUnheard(over, r.Now()), limit), nil
}

// forget deletes sessions as they were when their results were noted: one that changed meanwhile has
// more to tell.
func (r *BackupConfigurations) forget(ctx context.Context, over []v1beta1.BackupSession) error {
	for i := range over {
		err := r.Delete(ctx, &over[i], client.PropagationPolicy(metav1.DeletePropagationBackground),
			client.Preconditions{UID: &over[i].UID, ResourceVersion: &over[i].ResourceVersion})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete old session: %w", err)
		}
	}
	return nil
}

func retryPending(bs *v1beta1.BackupSession) bool {
	return bs.Status.Phase == v1beta1.BackupSessionFailed && bs.Spec.RetryLeft > 0 && (bs.Status.Retried == nil || !*bs.Status.Retried)
}

// track records a finished session, once.
func track(c *v1beta1.BackupConfiguration, bs *v1beta1.BackupSession) {
	st := &c.Status
	if bs.Status.Phase == v1beta1.BackupSessionSkipped {
		return
	}
	if l := st.LastSession; l != nil && l.UID == string(bs.UID) && l.Phase == bs.Status.Phase {
		return
	}
	if st.LastSession == nil || !bs.CreationTimestamp.Time.Before(st.LastSession.StartTime.Time) {
		st.LastSession = &v1beta1.LastSession{
			Name: bs.Name, UID: string(bs.UID), Phase: bs.Status.Phase,
			StartTime: bs.CreationTimestamp, Duration: bs.Status.SessionDuration,
		}
	}
	// An older one may have been mended by a result that came late.
	at := bs.CreationTimestamp
	if bs.Status.Phase == v1beta1.BackupSessionSucceeded && (st.LastSuccessTime == nil || st.LastSuccessTime.Before(&at)) {
		st.LastSuccessTime = &at
	}
	session.TrackHosts(st, bs)
	st.Hosts = slices.Clip(st.Hosts)
}
