package session

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

type restoreStep func(o *Restore, now time.Time) (Action, bool)

// NextRestore returns what a RestoreSession needs next.
func NextRestore(o *Restore, now time.Time) Action {
	steps := []restoreStep{
		restoreOver,
		restoreDeadline,
		pinFailed,
		overtaken,
		restoreReady,
		pin,
		restoreTurn,
	}
	if o.byJob() {
		steps = append(steps, withoutTarget, inUse, restoreLost, jobLost, assignRestore, executeRestore, finishRestore)
	} else {
		steps = append(steps, leavesHalf, clearVolumes, closeNamespace, restoreLost, clearPods, pinLate, assignRestore, finishRestore)
	}
	for _, s := range steps {
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
	if c := api.FindCondition(o.Session.Status.Conditions, api.SnapshotsPinned); c != nil && c.Status == metav1.ConditionFalse {
		message += ": no snapshots could be chosen: " + c.Message
	}
	if c := api.FindCondition(o.Session.Status.Conditions, api.NamespaceClosed); c != nil && c.Status == metav1.ConditionFalse {
		message += ": " + c.Message
	}
	if o.Foreign != "" {
		message += ": " + o.foreign()
	}
	if a, ok := restoreTurn(o, now); ok && o.Session.Status.Hash == "" {
		message += ": it was " + a.Message
	}
	return Fail("DeadlineExceeded", message), true
}

// restoreReady waits for the target and the repository.
func restoreReady(o *Restore, now time.Time) (Action, bool) {
	if o.restoring() {
		return Action{}, false // the agents have all that they need
	}
	if o.Repository == nil {
		if o.waitedForRepository(now) {
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
	if a, ok := o.unreachable(name, now); ok {
		return a, true
	}
	if !o.Initialized {
		if o.probed() {
			return Fail("BackendRepositoryNotFound", name+" holds no restic repository: there is nothing to restore"), true
		}
		why := whyUnused(o.Repository, "nobody has looked into its backend yet")
		if o.waitedForRepository(now) {
			return Fail("RepositoryNotAvailable", name+" was not checked: "+why), true
		}
		return Wait("waiting for "+name+" to be checked: "+why, 2*time.Second), true
	}
	if len(o.HostNames)+len(o.LeftAlone) == 0 {
		return Wait("waiting for pods of the target, which name its hosts: it has none now", 30*time.Second), true
	}
	return Action{}, false
}

// unreachable deals with a backend that could not be read. What was seen before this session proves
// nothing about now, and what fails after it was once read is tried again for a while.
func (o *Restore) unreachable(name string, now time.Time) (Action, bool) {
	c := api.FindCondition(o.Repository.Status.Conditions, api.BackendReachable)
	switch {
	case c == nil || c.Status != metav1.ConditionFalse:
		return Action{}, false
	case api.IsFalse(o.Session.Status.Conditions, api.SnapshotsPinned):
		return Action{}, false // pinFailed knows for how long
	case o.probed() || o.waitedForRepository(now):
		return Fail(c.Reason, name+" cannot be read: "+c.Message), true
	}
	return Wait("waiting for "+name+" to be checked, since it could not be read before: "+c.Message, 2*time.Second), true
}

// waitedForRepository tells whether a restore has waited for its repository for long enough.
func (o *Restore) waitedForRepository(now time.Time) bool {
	return now.After(o.since(o.Session.CreationTimestamp.Time).Add(o.Limits.Repository))
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
		return Wait("waiting for "+o.Exclusive, 2*time.Second), true
	}
	return Action{}, false
}

// clearVolumes waits, with the target still at work, for pods of others to leave its volumes: once the
// restore has begun, the target would be down for as long as they stay.
func clearVolumes(o *Restore, _ time.Time) (Action, bool) {
	if o.Session.Status.Hash != "" || o.Foreign == "" {
		return Action{}, false
	}
	return Wait(o.foreign()+": delete it, or scale its workload down, and the restore begins", 2*time.Second), true
}

func (o *Restore) foreign() string {
	return fmt.Sprintf("waiting for pod %q, which mounts volumes that are to be restored", o.Foreign)
}

// closeNamespace closes the namespace, then stamps the workload.
func closeNamespace(o *Restore, now time.Time) (Action, bool) {
	switch {
	case !o.Closed && o.Refused != "":
		return o.refused(now), true
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

// refused says who refuses pods of the target before our hook can: they would not start with their data
// either. Before the workload is touched that is waited for only for a while.
func (o *Restore) refused(now time.Time) Action {
	why := "pods of the target with the restore init-container are refused: " + o.Refused
	c := api.FindCondition(o.Session.Status.Conditions, api.NamespaceClosed)
	if !o.Stamped && c != nil && c.Status == metav1.ConditionFalse && now.After(o.since(c.LastTransitionTime.Time).Add(o.Limits.Repository)) {
		return Fail("NamespaceNotClosed", why)
	}
	return Action{Kind: KindClose, Message: why, After: 5 * time.Second}
}

// clearPods removes pods that would write while others restore.
func clearPods(o *Restore, now time.Time) (Action, bool) {
	if len(o.OldPods) == 0 {
		return Action{}, false
	}
	message := cmp.Or(o.notEnding(now), "deleting pods of the target that run without a restore")
	return Action{Kind: KindDeletePods, Pods: o.OldPods, Message: message, After: time.Second}, true
}

// finishRestore ends a restore whose hosts all have results, and whose pods all have their data: a
// Deployment has one host, but each of its pods may have volumes of its own, and then those that are still
// to come are waited for, too: Kubernetes may make one only when the one before it is ready. A host that failed
// does not stop what is being restored: half a restore helps nobody. One for which there never was
// anything to restore does not even keep others from beginning.
func finishRestore(o *Restore, now time.Time) (Action, bool) {
	var ok int
	var bad []string
	for _, h := range o.HostNames {
		s := o.stat(h)
		switch {
		case s == nil:
		case s.Phase == v1beta1.HostRestoreFailed:
			bad = append(bad, h+": "+s.Error)
		case s.Phase == v1beta1.HostRestoreSucceeded:
			ok++
		}
	}
	if len(bad) > 0 && !o.restoring() && !o.othersFollow(now) {
		return Fail("HostRestoreFailed", fmt.Sprintf("%d of %d hosts failed: %s", len(bad), o.total(), some(bad))), true
	}
	if o.complete() {
		return Action{Kind: KindFinish}, true
	}
	message := fmt.Sprintf("%d of %d hosts restored", ok, o.total())
	if n := o.restoredPods(); o.Own && n < o.Wanted {
		message += fmt.Sprintf(", %d of %d pods, which have volumes of their own", n, o.Wanted)
	}
	if len(bad) > 0 {
		message += fmt.Sprintf(", %d failed", len(bad))
	}
	if why := o.waitsFor(now); why != "" && o.silent(now) == "" {
		return Wait(message+"; "+why, 2*time.Second), true
	}
	if o.byJob() {
		if why := cmp.Or(o.silent(now), o.jobTrouble(now)); why != "" {
			message += "; " + why
		}
		return Action{Kind: KindWait, Message: message, After: 2 * time.Second, Ready: true}, true
	}
	if why := cmp.Or(o.silent(now), o.notRunning(now), o.notEnding(now), o.noPod(now), o.fewPods(now), o.nobody()); why != "" {
		message += "; " + why
	}
	return Wait(message, 5*time.Second), true
}

// othersFollow tells whether hosts are still to be restored beside those that failed, where these are
// but late ones without a snapshot. A host whose pod does not come in time is not waited for: it may
// be the failed one's that keeps it from being created.
func (o *Restore) othersFollow(now time.Time) bool {
	last, missing, waiting := o.Session.CreationTimestamp.Time, false, false
	for _, r := range o.Session.Status.Restored {
		last = later(last, r.Time.Time)
	}
	for _, name := range o.HostNames {
		s := o.stat(name)
		if s != nil && s.Phase == v1beta1.HostRestoreFailed {
			if o.pinned(name) {
				return false
			}
			continue
		}
		pods := o.pods(name)
		missing = missing || len(pods) == 0 && (s == nil || s.Phase != v1beta1.HostRestoreSucceeded)
		waiting = waiting || slices.ContainsFunc(pods, func(p Pod) bool { return !o.restoredTo(p) })
	}
	for _, h := range o.Hosts {
		for _, p := range h.Pods {
			last = later(last, p.Created)
		}
	}
	return waiting || missing && !now.After(o.since(last).Add(o.Limits.Pods))
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
	all := o.total() == len(o.HostNames) && (o.Some || len(o.Unplaced) == 0) && (!o.Own || o.restoredPods() >= o.Wanted)
	return (len(o.HostNames) > 0 || o.outlived()) && !o.restoring() && all
}

// restoredPods is how many pods of the target have their data.
func (o *Restore) restoredPods() int32 {
	var n int32
	for _, h := range o.Hosts {
		for _, p := range h.Pods {
			if !p.Dead && o.restoredTo(p) {
				n++
			}
		}
	}
	return n
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
