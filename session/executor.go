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

// againAfter is the least time between two pods of a host: one whose container ends as soon as it starts
// would be made again all the time.
const againAfter = 20 * time.Second

// execute asks for a Job where a host has none. What the API server would refuse is not asked for.
func (e Executor) execute(host string, now time.Time) (Action, bool) {
	if e.Living || e.Missing.Refused != "" || e.Missing.Ended != "" && now.Sub(e.Missing.Created) < againAfter {
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

// withoutTarget ends a restore whose claim went after its snapshots were chosen: another one of the name is
// another claim. An agent at work comes to its own end.
func withoutTarget(o *Restore, _ time.Time) (Action, bool) {
	if o.TargetFound || o.restoring() {
		return Action{}, false
	}
	ref := v1beta1.TargetRef{}
	if t := o.Session.Spec.Target; t != nil {
		ref = t.Ref
	}
	return Fail("TargetNotFound", fmt.Sprintf("%s %q does not exist any more, or is being deleted", ref.Kind, ref.Name)), true
}

// inUse waits for pods of others to leave the volumes, and ends a restore that nobody makes room for: it
// would write under what they read. Jobs of other sessions leave by themselves, and are waited for whatever
// the object says: two must not write. What has begun goes on.
func inUse(o *Restore, now time.Time) (Action, bool) {
	if len(o.Session.Status.Assignments)+len(o.Session.Status.Restored) > 0 {
		return Action{}, false
	}
	if o.Sibling != "" {
		return Wait(fmt.Sprintf("waiting for pod %q, of a Job of another session of this target, to end; if its node is gone for good, delete the node", o.Sibling), 2*time.Second), true
	}
	allowed := o.Session.Spec.Target != nil && o.Session.Spec.Target.InUse == v1beta1.InUseRestore
	if allowed || o.Foreign == "" {
		return Action{}, false
	}
	if at := o.Session.Status.ReadyTime; at != nil && now.After(o.since(at.Time).Add(o.Limits.Pods)) {
		return Fail("TargetInUse", fmt.Sprintf("the volumes were in use for longer than %s, by pod %q: scale its workload down, then create another RestoreSession, or one with spec.target.inUse: Restore", o.Limits.Pods, o.Foreign)), true
	}
	message := o.foreign() + ": scale its workload down, and the restore begins; a RestoreSession with spec.target.inUse: Restore does not wait"
	return Action{Kind: KindWait, Message: message, After: 2 * time.Second, Ready: true}, true
}

// jobLost gives up an agent of a Job that says nothing: no application waits for it, and where its node is cut
// off nobody can know whether it still writes. A pod that has ended is known to have.
func jobLost(o *Restore, now time.Time) (Action, bool) {
	for _, a := range o.Session.Status.Assignments {
		p, known := o.Pods[a.PodUID]
		if a.Lost != nil || !known || p.Dead || o.heldBack(a, now) {
			continue
		}
		why := ""
		switch {
		case a.Acknowledged == nil && now.Sub(o.since(offered(a))) > o.Limits.Accept:
			why = fmt.Sprintf("the agent in %s never took its work: %s", where(a.Pod, a.Node),
				p.unconnected(fmt.Sprintf("it is not connected to Stash (kubectl logs -c %s says why)", api.ContainerJob)))
		case a.Acknowledged != nil && now.Sub(o.since(seen(a))) > o.Limits.Heartbeat:
			why = fmt.Sprintf("the agent in %s was not heard of since %s, in the middle of the restore: its node may be cut off",
				where(a.Pod, a.Node), seen(a).UTC().Format(time.RFC3339))
		}
		if why != "" {
			return Action{Kind: KindFailHost, Assignment: a.ID, Host: a.Hostname, Message: why}, true
		}
	}
	return Action{}, false
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
			return FailHost(h, o.jobWhy(h, now)), true
		}
		if a, ok := e.execute(h, now); ok {
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
			return o.jobWhy(h, now)
		}
	}
	return ""
}

// jobWhy says what a host waits for.
func (o *Restore) jobWhy(host string, now time.Time) string {
	return cmp.Or(refusedAgent(o.pods(host)), o.Executors[host].why(now))
}

// refusedAgent says which of some pods has an agent that the broker refuses, and why.
func refusedAgent(pods []Pod) string {
	for _, p := range pods {
		if !p.Dead && p.Refused != "" {
			return fmt.Sprintf("the container %q of pod %q gets no work, since it is refused: %s", api.ContainerJob, p.Name, p.Refused)
		}
	}
	return ""
}
