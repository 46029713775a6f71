package controller

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
)

// RestoreSessions carries restores out.
type RestoreSessions struct {
	*World
	// Probe proves that the hook that closes the namespace of a target is in force, or says what else
	// refuses its pods.
	Probe func(ctx context.Context, rs *v1beta1.RestoreSession) (closed bool, refused string, err error)
	// Ended is told of each restore that has ended or is gone.
	Ended func()
}

// Reconcile does the next thing that a RestoreSession needs.
func (r *RestoreSessions) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	rs := &v1beta1.RestoreSession{}
	if err := r.Get(ctx, req.NamespacedName, rs); err != nil {
		if apierrors.IsNotFound(err) {
			r.Ended()
			return ctrl.Result{}, errors.Join(r.openNamespaces(ctx), r.afterDeletion(ctx), r.endOrphans(ctx))
		}
		return ctrl.Result{}, fmt.Errorf("read RestoreSession: %w", err)
	}
	if rs.DeletionTimestamp != nil {
		return ctrl.Result{}, errors.Join(r.openNamespace(ctx, targetNamespace(rs)), r.afterDeletion(ctx))
	}
	o, err := r.observe(ctx, rs)
	if err != nil {
		return ctrl.Result{}, err
	}
	a, err := r.admitted(ctx, o, session.NextRestore(o, r.Now()))
	if err != nil {
		return ctrl.Result{}, err
	}
	res, err := r.act(ctx, o, a)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return res, err
}

func (r *RestoreSessions) act(ctx context.Context, o *session.Restore, a session.Action) (ctrl.Result, error) {
	if a.Kind == session.KindNone {
		left, err := r.endJobs(ctx, o.Session.UID, o.Session.Status.CompletionTime)
		return ctrl.Result{RequeueAfter: left}, errors.Join(err, r.afterwards(ctx, o))
	}
	rs := o.Session.DeepCopy()
	before := rs.Status.DeepCopy()
	recordRestore(rs, o, a, metav1.NewTime(r.Now()))
	if err := r.do(ctx, o, rs, a); err != nil {
		return ctrl.Result{}, err
	}
	if !equalStatus(before, &rs.Status) {
		if err := client.IgnoreNotFound(r.Status().Update(ctx, rs)); err != nil {
			return ctrl.Result{}, fmt.Errorf("write status: %w", err)
		}
		r.tell(rs, a)
		if session.RestoreFinished(rs.Status.Phase) {
			r.Ended()
		}
	}
	return ctrl.Result{RequeueAfter: a.After}, nil
}

// do does what an action changes beside the status, before that is written: it is done again where the
// write fails.
func (r *RestoreSessions) do(ctx context.Context, o *session.Restore, rs *v1beta1.RestoreSession, a session.Action) error {
	switch a.Kind {
	case session.KindClose:
		return r.closeNamespace(ctx, targetNamespace(rs))
	case session.KindStamp:
		err := r.stamp(ctx, rs)
		if err != nil {
			r.event(rs, corev1.EventTypeWarning, "Init-Container Injection Failed", err.Error())
		}
		return err
	case session.KindDeletePods:
		return r.deletePods(ctx, rs, a.Pods)
	case session.KindExecute:
		return r.execute(ctx, o, a.Host)
	default:
		return nil
	}
}

// recordRestore writes an action into the status.
func recordRestore(rs *v1beta1.RestoreSession, o *session.Restore, a session.Action, now metav1.Time) {
	start(rs, o)
	if o.Closed && api.IsFalse(rs.Status.Conditions, api.NamespaceClosed) {
		api.SetCondition(&rs.Status.Conditions, condition(api.NamespaceClosed, true, "NamespaceClosed", "pods of the target start only once their data is back", rs.Generation), now)
	}
	ready(&rs.Status, a, now)
	switch a.Kind {
	case session.KindWait, session.KindDeletePods:
		rs.Status.Reason = a.Message
	case session.KindExecute:
		rs.Status.Phase, rs.Status.Reason = v1beta1.RestoreRunning, a.Message
	case session.KindPin:
		rs.Status.Reason = a.Message
		if a.Host != "" {
			session.Appear(&rs.Status, a.Host, rs.Generation, now)
		}
	case session.KindFail:
		failRestore(rs, a, now)
	case session.KindFailHost:
		session.FailHostRestore(&rs.Status, a.Host, a.Message, rs.Generation, now)
		recordRestoreAssignment(rs, a, now)
	case session.KindAlready:
		session.RecordRestore(&rs.Status, "", v1beta1.HostRestoreStats{Hostname: a.Host, Phase: v1beta1.HostRestoreSucceeded}, nil)
	case session.KindClose:
		rs.Status.Reason = a.Message
		// The hash is in the status before any pod can carry it: hooks and broker know it then.
		rs.Status.Hash = mutators.HashRestore(string(rs.UID))
		if o.Refused != "" {
			api.SetCondition(&rs.Status.Conditions, condition(api.NamespaceClosed, false, "PodRefused", a.Message, rs.Generation), now)
		}
	case session.KindStamp:
		rs.Status.Phase, rs.Status.Reason = v1beta1.RestoreRunning, a.Message
		api.SetCondition(&rs.Status.Conditions, condition(api.StashInitContainerInjected, true, "InitContainerInjectionSucceeded", "pods of the target are created with the restore init-container", rs.Generation), now)
	case session.KindAssign:
		rs.Status.Reason = ""
		// From now on the target may hold half of its data, and the restore holds it until one has succeeded.
		rs.Status.Hash = mutators.HashRestore(string(rs.UID))
		assignRestore(rs, a.Assignments)
	case session.KindLost, session.KindCancel:
		recordRestoreAssignment(rs, a, now)
	case session.KindFinish:
		finishRestoreSession(rs, now)
	case session.KindNone, session.KindSkip, session.KindRelease, session.KindScheduleRetry, session.KindRetry:
	}
}

// ready notes since when nothing but pods is waited for.
func ready(st *v1beta1.RestoreSessionStatus, a session.Action, now metav1.Time) {
	switch {
	case !a.Ready && a.Kind == session.KindWait:
		st.ReadyTime = nil
	case a.Ready && st.ReadyTime == nil, a.Kind == session.KindExecute && st.Phase != v1beta1.RestoreRunning:
		st.ReadyTime = &now // of its own pods, where it waited for those of others before
	}
}

// assignRestore gives work to pods; what they lost before is forgotten.
func assignRestore(rs *v1beta1.RestoreSession, list []v1beta1.Assignment) {
	st := &rs.Status
	st.Assignments = slices.DeleteFunc(st.Assignments, func(old v1beta1.Assignment) bool {
		return slices.ContainsFunc(list, func(a v1beta1.Assignment) bool { return a.PodUID == old.PodUID })
	})
	st.Assignments = append(st.Assignments, list...)
}

// start fills in what is known of a restore from its first moment.
func start(rs *v1beta1.RestoreSession, o *session.Restore) {
	st := &rs.Status
	st.ObservedGeneration = rs.Generation
	if st.Phase == "" {
		st.Phase = v1beta1.RestorePending
	}
	n := int32(len(o.HostNames)) //nolint:gosec // a number of pods
	if o.TargetFound && (n > 0 || len(o.LeftAlone) > 0) && (st.TotalHosts == nil || *st.TotalHosts < n) {
		st.TotalHosts = &n
	}
	session.NoteLeftAlone(st, o.LeftAlone)
	if d := rs.Spec.TimeOut; d != nil && st.SessionDeadline == nil {
		end := metav1.NewTime(rs.CreationTimestamp.Add(d.Duration))
		st.SessionDeadline = &end
	}
}

func failRestore(rs *v1beta1.RestoreSession, a session.Action, now metav1.Time) {
	st := &rs.Status
	st.Phase, st.Reason, st.Progress = v1beta1.RestoreFailed, a.Message, ""
	if a.Reason == "ResourceValidationFailed" {
		st.Phase = v1beta1.RestoreInvalid
		api.SetCondition(&st.Conditions, condition(api.ValidationPassed, false, a.Reason, a.Message, rs.Generation), now)
	}
	if st.Hash != "" || holds(rs) {
		st.Reason = withWayOut(rs, st.Reason)
	}
	if a.Reason == "DeadlineExceeded" {
		api.SetCondition(&st.Conditions, condition(api.DeadlineExceeded, true, "FailedToCompleteWithinDeadline", a.Message, rs.Generation), now)
	}
	api.SetCondition(&st.Conditions, condition(api.RestoreCompleted, false, "PostRestoreTasksNotExecuted", a.Message, rs.Generation), now)
	st.CompletionTime = &now
	st.SessionDuration = session.Took(rs.CreationTimestamp, now)
}

// withWayOut adds to the reason of a restore that failed what it holds back, and how that ends.
func withWayOut(rs *v1beta1.RestoreSession, reason string) string {
	if rs.Spec.Target == nil {
		return reason
	}
	ref := rs.Spec.Target.Ref
	text := fmt.Sprintf("pods of %s %q that were not restored do not start: delete this RestoreSession to let them start on the data that is there, or create another one that restores it", ref.Kind, ref.Name)
	if ref.IsClaim() {
		// Nothing keeps pods from a claim; what is there must not take the place of what was.
		if !holds(rs) {
			return reason
		}
		text = fmt.Sprintf("%s %q may hold a part of its data only, and is not backed up until another RestoreSession has restored it, or this one is deleted", ref.Kind, ref.Name)
	}
	if strings.HasSuffix(reason, text) {
		return reason
	}
	return joined(reason, text)
}

// holds tells whether a restore holds its target, where no other one does.
func holds(rs *v1beta1.RestoreSession) bool { return holder([]v1beta1.RestoreSession{*rs}) != nil }

func finishRestoreSession(rs *v1beta1.RestoreSession, now metav1.Time) {
	st := &rs.Status
	st.Phase, st.Reason, st.Progress, st.Assignments = v1beta1.RestoreSucceeded, "", "", nil
	st.CompletionTime = &now
	st.SessionDuration = session.Took(rs.CreationTimestamp, now)
	api.SetCondition(&st.Conditions, condition(api.RestoreCompleted, true, "PostRestoreTasksExecuted", restored(st, ""), rs.Generation), now)
}

// restored says of a restore that succeeded whom it restored, and whom not.
func restored(st *v1beta1.RestoreSessionStatus, took string) string {
	who := "all hosts are restored"
	if len(st.LeftAlone) > 0 {
		who = "all hosts that the rules name are restored"
	}
	return session.WithLeftAlone(who+took, st.LeftAlone)
}

func recordRestoreAssignment(rs *v1beta1.RestoreSession, a session.Action, now metav1.Time) {
	for i := range rs.Status.Assignments {
		if rs.Status.Assignments[i].ID != a.Assignment {
			continue
		}
		if a.Kind == session.KindCancel {
			rs.Status.Assignments[i].Cancelled = true
		} else {
			rs.Status.Assignments[i].Lost = &now
		}
	}
}

// deletePods deletes pods of the target that would write under the restore.
func (r *RestoreSessions) deletePods(ctx context.Context, rs *v1beta1.RestoreSession, pods []session.Pod) error {
	namespace := targetNamespace(rs)
	for _, p := range pods {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: p.Name}}
		uid := typesUID(p.UID)
		err := r.Delete(ctx, pod, client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete pod: %w", err)
		}
	}
	return nil
}

// tell makes the events of an action.
func (r *RestoreSessions) tell(rs *v1beta1.RestoreSession, a session.Action) {
	switch a.Kind {
	case session.KindFail:
		r.event(rs, corev1.EventTypeWarning, "RestoreSession Failed", a.Message)
	case session.KindFinish:
		r.event(rs, corev1.EventTypeNormal, "RestoreSession Succeeded", restored(&rs.Status, " in "+rs.Status.SessionDuration))
	case session.KindAssign:
		for _, x := range a.Assignments {
			r.event(rs, corev1.EventTypeNormal, "RestoreSession Running", fmt.Sprintf("pod %s restores %s", x.Pod, x.Hostname))
		}
	case session.KindLost, session.KindCancel:
		r.event(rs, corev1.EventTypeWarning, "Host Restore Disrupted", a.Host+": "+a.Message)
	case session.KindFailHost:
		r.event(rs, corev1.EventTypeWarning, "Host Restore Failed", a.Host+": "+a.Message)
	case session.KindStamp:
		r.event(rs, corev1.EventTypeNormal, "Init-Container Injection Succeeded", "pods of the target are created with the restore init-container")
	case session.KindAlready:
		r.event(rs, corev1.EventTypeNormal, "Host Restore Succeeded", a.Message)
	case session.KindNone, session.KindWait, session.KindSkip, session.KindRelease, session.KindScheduleRetry,
		session.KindRetry, session.KindPin, session.KindClose, session.KindDeletePods, session.KindExecute:
	}
}
