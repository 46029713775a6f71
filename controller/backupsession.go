package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// BackupSessions carries backups out.
type BackupSessions struct {
	*World
}

// Reconcile does the next thing that a BackupSession needs.
func (r *BackupSessions) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	bs := &v1beta1.BackupSession{}
	if err := r.Get(ctx, req.NamespacedName, bs); err != nil {
		if apierrors.IsNotFound(err) {
			return ctrl.Result{}, r.endOrphans(ctx)
		}
		return ctrl.Result{}, fmt.Errorf("read BackupSession: %w", err)
	}
	if bs.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	bs, err := r.adopt(ctx, bs)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	if err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	o, err := r.observe(ctx, bs)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := r.Now()
	a := session.Next(o, now)
	res, err := r.act(ctx, o, a, now)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return res, err
}

// act does one action. All but Retry are writes of the status.
func (r *BackupSessions) act(ctx context.Context, o *session.Backup, a session.Action, now time.Time) (ctrl.Result, error) {
	bs := o.Session.DeepCopy()
	before := bs.Status.DeepCopy()
	again := time.Duration(0)
	switch a.Kind {
	case session.KindNone:
		left, err := r.endJobs(ctx, bs.UID, bs.Status.CompletionTime)
		return ctrl.Result{RequeueAfter: left}, err
	case session.KindRetry:
		return r.retry(ctx, o)
	case session.KindWait:
		waiting(bs, a, now)
		again = a.After
	case session.KindExecute:
		if err := r.execute(ctx, o, a.Host); err != nil {
			return ctrl.Result{}, err
		}
		waiting(bs, a, now)
		again = a.After
	default:
		record(bs, o, a, now)
	}
	if !equalStatus(before, &bs.Status) {
		if err := client.IgnoreNotFound(r.Status().Update(ctx, bs)); err != nil {
			return ctrl.Result{}, fmt.Errorf("write status: %w", err)
		}
		r.tell(bs, a)
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// waiting says in the status what is waited for.
func waiting(bs *v1beta1.BackupSession, a session.Action, now time.Time) {
	st := &bs.Status
	if st.Phase == "" {
		st.Phase = v1beta1.BackupSessionPending
	}
	if st.Phase != v1beta1.BackupSessionPending {
		return
	}
	st.Reason = a.Message
	if at := metav1.NewTime(now); !a.Ready {
		st.ReadyTime = nil
	} else if st.ReadyTime == nil {
		st.ReadyTime = &at
	}
}

// record writes an action into the status.
func record(bs *v1beta1.BackupSession, o *session.Backup, a session.Action, now time.Time) {
	st := &bs.Status
	begin(bs, o)
	t := &st.Targets[0]
	switch a.Kind {
	case session.KindSkip:
		api.SetCondition(&st.Conditions, condition(api.BackupSkipped, true, "SkippedTakingNewBackup", a.Message, bs.Generation), metav1.NewTime(now))
		session.Finish(st, v1beta1.BackupSessionSkipped, a.Message, bs.CreationTimestamp, metav1.NewTime(now))
	case session.KindFail:
		if a.Reason == "DeadlineExceeded" {
			api.SetCondition(&st.Conditions, condition(api.DeadlineExceeded, true, "FailedToCompleteWithinDeadline", a.Message, bs.Generation), metav1.NewTime(now))
		}
		session.Finish(st, v1beta1.BackupSessionFailed, a.Message, bs.CreationTimestamp, metav1.NewTime(now))
	case session.KindAssign:
		run(bs, o, now)
		t.Assignments = append(t.Assignments, a.Assignments...)
	case session.KindFailHost:
		run(bs, o, now)
		session.RecordBackup(st, v1beta1.HostBackupStats{Hostname: a.Host, Phase: v1beta1.HostBackupFailed, Error: a.Message})
	case session.KindLost, session.KindCancel, session.KindRelease:
		recordAssignment(t, a, now)
	case session.KindFinish:
		finishBackup(bs, a, now)
	case session.KindScheduleRetry:
		at := metav1.NewTime(now.Add(a.After))
		st.NextRetry = &at
	case session.KindNone, session.KindWait, session.KindRetry, session.KindPin, session.KindClose,
		session.KindStamp, session.KindDeletePods, session.KindAlready, session.KindExecute:
	}
}

// begin fills in what is known of a session from its first moment.
func begin(bs *v1beta1.BackupSession, o *session.Backup) {
	st := &bs.Status
	if len(st.Targets) == 0 {
		st.Targets = []v1beta1.BackupTargetStatus{{Phase: v1beta1.TargetPending}}
		if o.Invoker != nil && o.Invoker.Spec.Target != nil {
			st.Targets[0].Ref = o.Invoker.Spec.Target.Ref
		}
	}
	if o.Invoker != nil && o.Invoker.Spec.TimeOut != nil && st.SessionDeadline == nil {
		d := metav1.NewTime(bs.CreationTimestamp.Add(o.Invoker.Spec.TimeOut.Duration))
		st.SessionDeadline = &d
	}
}

// run marks a session as running, with the number of its hosts.
func run(bs *v1beta1.BackupSession, o *session.Backup, now time.Time) {
	st := &bs.Status
	if st.Targets[0].TotalHosts != nil {
		return
	}
	n := max(int32(len(o.Hosts)), o.Wanted) //nolint:gosec // a number of pods
	st.Targets[0].TotalHosts = &n
	// All are named from now on: one whose pod goes before it is given any work is not forgotten.
	at := metav1.NewTime(now)
	waits := st.ReadyTime // a host without a pod has waited since then
	if waits == nil {
		waits = &at
	}
	for _, h := range o.Hosts {
		st.Targets[0].Released = append(st.Targets[0].Released, v1beta1.ReleasedHost{Hostname: h.Name, Time: waits})
	}
	st.Targets[0].Phase = v1beta1.TargetRunning
	st.Phase, st.Reason = v1beta1.BackupSessionRunning, ""
	api.SetCondition(&st.Conditions, condition(api.BackendRepositoryInitialized, true, "BackendRepositoryFound", "the repository exists in the backend", bs.Generation), at)
	api.SetCondition(&st.Targets[0].Conditions, condition(api.BackupExecutorEnsured, true, "SuccessfullyEnsuredBackupExecutor", "the work was given to agents", bs.Generation), at)
}

func recordAssignment(t *v1beta1.BackupTargetStatus, a session.Action, now time.Time) {
	for i := range t.Assignments {
		if t.Assignments[i].ID != a.Assignment {
			continue
		}
		at := metav1.NewTime(now)
		switch a.Kind {
		case session.KindLost:
			t.Assignments[i].Lost, t.Assignments[i].Searched = &at, false
		case session.KindCancel:
			t.Assignments[i].Cancelled = true
		default:
			release(t, i, a.Message, at)
		}
		return
	}
}

// release takes a host from its pod and counts the attempt.
func release(t *v1beta1.BackupTargetStatus, i int, message string, now metav1.Time) {
	gone := t.Assignments[i]
	t.Assignments = append(t.Assignments[:i], t.Assignments[i+1:]...)
	for j := range t.Released {
		if t.Released[j].Hostname == gone.Hostname {
			t.Released[j].Attempts, t.Released[j].Message, t.Released[j].Time = gone.Attempt, message, &now
			return
		}
	}
	t.Released = append(t.Released, v1beta1.ReleasedHost{Hostname: gone.Hostname, Attempts: gone.Attempt, Message: message, Time: &now})
}

func finishBackup(bs *v1beta1.BackupSession, a session.Action, now time.Time) {
	st := &bs.Status
	at := metav1.NewTime(now)
	sayComplete(bs, at)
	if d := st.SessionDeadline; d != nil && a.Phase == v1beta1.BackupSessionFailed && now.After(d.Time) {
		api.SetCondition(&st.Conditions, condition(api.DeadlineExceeded, true, "FailedToCompleteWithinDeadline", a.Message, bs.Generation), at)
	}
	session.Finish(st, a.Phase, a.Message, bs.CreationTimestamp, at)
}

// sayComplete says in the conditions what is missing from the snapshots.
func sayComplete(bs *v1beta1.BackupSession, now metav1.Time) {
	c, ok := session.Completeness(bs.Status.Targets[0])
	if !ok {
		api.RemoveCondition(&bs.Status.Conditions, api.Incomplete)
		return
	}
	c.ObservedGeneration = bs.Generation
	api.SetCondition(&bs.Status.Conditions, c, now)
}

// retry creates the session that retries a failed one. Its name follows from the failed one's, so
// that two attempts to create it make one.
func (r *BackupSessions) retry(ctx context.Context, o *session.Backup) (ctrl.Result, error) {
	bs := newSession(o.Invoker, retryName(o.Session))
	bs.Spec.RetryLeft = o.Session.Spec.RetryLeft - 1
	if err := r.Create(ctx, bs); err != nil && !apierrors.IsAlreadyExists(err) {
		return ctrl.Result{}, fmt.Errorf("create retry: %w", err)
	}
	old := o.Session.DeepCopy()
	yes := true
	old.Status.Retried = &yes
	if err := client.IgnoreNotFound(r.Status().Update(ctx, old)); err != nil {
		return ctrl.Result{}, fmt.Errorf("write status: %w", err)
	}
	return ctrl.Result{}, nil
}

// tell makes the events of an action.
func (r *BackupSessions) tell(bs *v1beta1.BackupSession, a session.Action) {
	switch a.Kind {
	case session.KindSkip:
		r.event(bs, corev1.EventTypeWarning, "BackupSession Skipped", a.Message)
	case session.KindFail:
		r.event(bs, corev1.EventTypeWarning, "BackupSession Failed", a.Message)
	case session.KindFailHost:
		r.event(bs, corev1.EventTypeWarning, "Host Backup Failed", a.Host+": "+a.Message)
	case session.KindAssign:
		for _, x := range a.Assignments {
			r.event(bs, corev1.EventTypeNormal, "BackupSession Running", fmt.Sprintf("pod %s backs up %s", x.Pod, x.Hostname))
		}
	case session.KindLost, session.KindRelease, session.KindCancel:
		r.event(bs, corev1.EventTypeWarning, "Host Backup Disrupted", a.Host+": "+a.Message)
	case session.KindFinish:
		if a.Phase == v1beta1.BackupSessionSucceeded {
			r.event(bs, corev1.EventTypeNormal, "BackupSession Succeeded", "all hosts are backed up in "+bs.Status.SessionDuration)
		} else {
			r.event(bs, corev1.EventTypeWarning, "BackupSession Failed", a.Message)
		}
	case session.KindNone, session.KindWait, session.KindScheduleRetry, session.KindRetry, session.KindPin,
		session.KindClose, session.KindStamp, session.KindDeletePods, session.KindAlready, session.KindExecute:
	}
}
