package session

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

type restoreStep func(o *Restore, now time.Time) (Action, bool)

// NextRestore returns what a RestoreSession needs next.
func NextRestore(o *Restore, now time.Time) Action {
	for _, s := range []restoreStep{
		restoreOver,
		restoreDeadline,
		restoreReady,
		pin,
		restoreTurn,
		closeNamespace,
		restoreLost,
		clearPods,
		assignRestore,
		finishRestore,
	} {
		if a, ok := s(o, now); ok {
			return a
		}
	}
	return Wait("", 10*time.Second)
}

func restoreOver(o *Restore, _ time.Time) (Action, bool) {
	if RestoreFinished(o.Session.Status.Phase) {
		return None(), true
	}
	if o.Invalid != "" {
		return Fail("ResourceValidationFailed", o.Invalid), true
	}
	return Action{}, false
}

// restoreDeadline ends a restore that takes longer than its timeOut.
func restoreDeadline(o *Restore, now time.Time) (Action, bool) {
	d := o.Session.Spec.TimeOut
	if d == nil || o.complete() {
		return Action{}, false // what is complete is a success, however late it is looked at
	}
	end := o.Session.CreationTimestamp.Add(d.Duration)
	if now.Before(end) {
		return Action{}, false
	}
	message := fmt.Sprintf("did not complete within its timeOut of %s", d.Duration)
	for _, a := range o.Session.Status.Assignments {
		if a.Lost != nil {
			continue
		}
		if !a.Cancelled {
			return Action{Kind: KindCancel, Assignment: a.ID, Host: a.Hostname, Message: message}, true
		}
		if left := o.since(end).Add(o.Limits.DeadlineGrace).Sub(now); left > 0 {
			return Wait("waiting for agents to stop", left), true
		}
	}
	return Fail("DeadlineExceeded", message), true
}

// restoreReady waits for the target and the repository.
func restoreReady(o *Restore, now time.Time) (Action, bool) {
	if o.restoring() {
		return Action{}, false // the agents have all that they need
	}
	if o.Repository == nil {
		if now.After(o.since(o.Session.CreationTimestamp.Time).Add(o.Limits.Repository)) {
			return Fail("RepositoryNotAvailable", fmt.Sprintf("Repository %q does not exist", o.Session.Spec.Repository.Name)), true
		}
		return Wait(fmt.Sprintf("waiting for Repository %q, which does not exist", o.Session.Spec.Repository.Name), 5*time.Second), true
	}
	if api.IsTrue(o.Session.Status.Conditions, api.SnapshotsPinned) {
		return Action{}, false
	}
	if !o.TargetFound {
		return Wait("waiting for the target, which does not exist yet", 30*time.Second), true
	}
	name := fmt.Sprintf("Repository \"%s/%s\"", o.Repository.Namespace, o.Repository.Name)
	if api.IsFalse(o.Repository.Status.Conditions, api.BackendReachable) {
		c := api.FindCondition(o.Repository.Status.Conditions, api.BackendReachable)
		// What was seen before this session proves nothing about now.
		if o.probed() {
			return Fail(c.Reason, name+" cannot be read: "+c.Message), true
		}
	}
	if !o.Initialized {
		if o.probed() || now.After(o.since(o.Session.CreationTimestamp.Time).Add(o.Limits.Repository)) {
			return Fail("BackendRepositoryNotFound", name+" holds no restic repository: there is nothing to restore"), true
		}
		return Wait("waiting for "+name+" to be checked", 2*time.Second), true
	}
	if len(o.HostNames) == 0 {
		return Wait("waiting for pods of the target, which name its hosts: it has none now", 30*time.Second), true
	}
	return Action{}, false
}

// pin asks for the snapshots to be chosen; the choice shows in the status.
func pin(o *Restore, _ time.Time) (Action, bool) {
	c := api.FindCondition(o.Session.Status.Conditions, api.SnapshotsPinned)
	if c != nil && c.Status == metav1.ConditionTrue {
		return Action{}, false
	}
	if c != nil && c.Status == metav1.ConditionFalse {
		return Fail(c.Reason, c.Message), true
	}
	return Action{Kind: KindPin, Message: "choosing snapshots", After: 2 * time.Second}, true
}

// restoreTurn waits for what is under way on the target.
func restoreTurn(o *Restore, _ time.Time) (Action, bool) {
	if len(o.Session.Status.Assignments) > 0 || len(o.Session.Status.Restored) > 0 {
		return Action{}, false
	}
	switch {
	case o.Other != "":
		return Wait(fmt.Sprintf("waiting for RestoreSession %q of the same target", o.Other), 5*time.Second), true
	case o.Backups != "":
		return Wait(fmt.Sprintf("waiting for BackupSession %q to end", o.Backups), 2*time.Second), true
	case o.Exclusive != "":
		return Wait("waiting for "+o.Exclusive+" to end in the repository", 2*time.Second), true
	}
	return Action{}, false
}

// closeNamespace closes the namespace, then stamps the workload.
func closeNamespace(o *Restore, _ time.Time) (Action, bool) {
	switch {
	case !o.Closed:
		return Action{Kind: KindClose, Message: "closing the namespace to pods of the target that are not restored", After: time.Second}, true
	case !o.TargetFound:
		return Wait("waiting for the target, which does not exist yet", 10*time.Second), true
	case !o.Stamped && o.Held != "":
		return Wait(o.Held, 10*time.Second), true
	case !o.Stamped:
		return Action{Kind: KindStamp, Message: "asking for pods with the restore init-container"}, true
	}
	return Action{}, false
}

// clearPods removes pods that would write while others restore.
func clearPods(o *Restore, _ time.Time) (Action, bool) {
	if len(o.OldPods) == 0 {
		return Action{}, false
	}
	return Action{Kind: KindDeletePods, Pods: o.OldPods, Message: "deleting pods of the target that run without a restore", After: time.Second}, true
}

// finishRestore ends a restore whose hosts all have results, and whose pods all have their data: a
// Deployment has one host, but each of its pods may have volumes of its own. A host that failed
// does not stop what is being restored: half a restore helps nobody.
func finishRestore(o *Restore, now time.Time) (Action, bool) {
	var ok, bad int
	var why string
	for _, h := range o.HostNames {
		s := o.stat(h)
		switch {
		case s == nil || s.Phase == v1beta1.HostRestoreRunning:
		case s.Phase == v1beta1.HostRestoreFailed:
			bad++
			why = h + ": " + s.Error
		default:
			ok++
		}
	}
	if bad > 0 && !o.restoring() {
		return Fail("HostRestoreFailed", fmt.Sprintf("%d of %d hosts failed: %s", bad, len(o.HostNames), why)), true
	}
	if o.complete() {
		return Action{Kind: KindFinish}, true
	}
	message := fmt.Sprintf("%d of %d hosts restored", ok, len(o.HostNames))
	for _, a := range o.Session.Status.Assignments {
		if a.Lost == nil && a.Acknowledged == nil && now.Sub(o.since(a.StartTime.Time)) > o.Limits.Accept {
			return Wait(message+fmt.Sprintf("; the init-container of pod %q has not taken its work: it is not connected to Stash", a.Pod), 5*time.Second), true
		}
	}
	return Wait(message, 5*time.Second), true
}

// complete tells whether every host has its data and no pod of the target waits for any.
func (o *Restore) complete() bool {
	for _, h := range o.HostNames {
		if s := o.stat(h); s == nil || s.Phase != v1beta1.HostRestoreSucceeded {
			return false
		}
	}
	for _, h := range o.Hosts {
		for _, p := range h.Pods {
			if !p.Dead && !o.restoredTo(p) {
				return false
			}
		}
	}
	return len(o.HostNames) > 0 && !o.restoring()
}

// restoring tells whether a pod still works.
func (o *Restore) restoring() bool {
	for _, a := range o.Session.Status.Assignments {
		if a.Lost == nil {
			return true
		}
	}
	return false
}
