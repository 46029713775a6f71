package session

import (
	"cmp"
	"fmt"
	"time"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Executor is what is observed of the Job that is made for one host of a session, where the target has no
// pods of its own: a claim, a database.
type Executor struct {
	// Living tells that there is a Job that has not ended, or a pod of one: none may be made beside it.
	Living bool
	// Missing is what keeps its pod from running, or from being made.
	Missing MissingWorker
}

// why says what a host waits for.
func (e Executor) why(now time.Time) string {
	_, trouble := e.Missing.Trouble(now)
	return cmp.Or(trouble, "waiting for the pod of its Job to start")
}

// execute asks for a Job where a host has none. What the API server would refuse is not asked for.
func (e Executor) execute(host string) (Action, bool) {
	if e.Living || e.Missing.Refused != "" {
		return Action{}, false
	}
	return Action{Kind: KindExecute, Host: host, Message: "making a Job for " + host, After: 2 * time.Second, Ready: true}, true
}

// byJob tells whether the session's work is done by Jobs that are made for it.
func (o *Backup) byJob() bool { return o.Executors != nil }

// container is the name of the agent's.
func (o *Backup) container() string {
	if o.byJob() {
		return api.ContainerJob
	}
	return api.ContainerSidecar
}

// another tells whether another pod can do a's host: there is one, or one may be made, since that of a has
// ended.
func (o *Backup) another(a v1beta1.Assignment) bool {
	if o.byJob() {
		p, known := o.Pods[a.PodUID]
		return !known || p.Dead
	}
	return o.otherPod(a)
}

// byJob tells whether the session's work is done by Jobs that are made for it.
func (o *Restore) byJob() bool { return o.Executors != nil }

// inUse waits for pods of others to leave the volumes, and ends a restore that nobody makes room for: it
// would write under what they read. What has begun goes on.
func inUse(o *Restore, now time.Time) (Action, bool) {
	allowed := o.Session.Spec.Target != nil && o.Session.Spec.Target.InUse == v1beta1.InUseRestore
	if allowed || o.Foreign == "" || len(o.Session.Status.Assignments)+len(o.Session.Status.Restored) > 0 {
		return Action{}, false
	}
	message := o.foreign() + ": delete it, or scale its workload down, and the restore begins; a RestoreSession with spec.target.inUse: Restore does not wait"
	if now.After(o.since(o.chosen()).Add(o.Limits.Pods)) {
		return Fail("TargetInUse", fmt.Sprintf("the volumes are in use for longer than %s: %s", o.Limits.Pods, message)), true
	}
	return Wait(message, 2*time.Second), true
}

// chosen is when the snapshots were chosen.
func (o *Restore) chosen() time.Time {
	if c := api.FindCondition(o.Session.Status.Conditions, api.SnapshotsPinned); c != nil {
		return c.LastTransitionTime.Time
	}
	return o.Session.CreationTimestamp.Time
}

// executeRestore makes a Job for each host that has neither data nor pod, again where its pod was lost.
func executeRestore(o *Restore, now time.Time) (Action, bool) {
	for _, h := range o.HostNames {
		if o.stat(h) != nil || o.works(h) {
			continue
		}
		e := o.Executors[h]
		switch since := o.since(o.hostWaits(h, now)); {
		case o.attempt(h) > o.Limits.Attempts:
			return FailHost(h, fmt.Sprintf("%d pods of its Jobs ended in the middle of the restore", o.attempt(h)-1)), true
		case now.After(since.Add(o.Limits.Pods)):
			return FailHost(h, e.why(now)), true
		}
		if a, ok := e.execute(h); ok {
			return a, true
		}
	}
	return Action{}, false
}

// works tells whether a pod of a host has its work.
func (o *Restore) works(host string) bool {
	for _, a := range o.Session.Status.Assignments {
		if a.Hostname == host && a.Lost == nil {
			return true
		}
	}
	return false
}

// hostWaits is since when a host waits for a pod.
func (o *Restore) hostWaits(host string, now time.Time) time.Time {
	at := now
	if ready := o.Session.Status.ReadyTime; ready != nil {
		at = ready.Time
	}
	for _, a := range o.Session.Status.Assignments {
		if a.Hostname == host && a.Lost != nil {
			at = later(at, a.Lost.Time)
		}
	}
	return at
}

// jobTrouble says what keeps the pod of a Job from its work.
func (o *Restore) jobTrouble(now time.Time) string {
	for _, h := range o.HostNames {
		if o.stat(h) == nil && !o.works(h) {
			return o.Executors[h].why(now)
		}
	}
	return ""
}
