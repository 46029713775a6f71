package session

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// assignRestore gives each waiting init-container its host, but never while another living pod
// mounts the same volumes, and never for a volume that was restored before.
func assignRestore(o *Restore, now time.Time) (Action, bool) {
	for _, h := range o.Hosts {
		if o.already(h) {
			return Action{Kind: KindAlready, Host: h.Name, Message: fmt.Sprintf("the volumes of host %q were restored before, by another that shares them", h.Name)}, true
		}
		for _, p := range o.unserved(h) {
			if a, wait := o.give(h.Name, p, now); wait == "" {
				return a, true
			}
		}
	}
	return Action{}, false
}

// waitsFor says why a waiting init-container gets no work; empty: none waits.
func (o *Restore) waitsFor(now time.Time) string {
	for _, h := range o.Hosts {
		for _, p := range o.unserved(h) {
			if _, wait := o.give(h.Name, p, now); wait != "" {
				return wait
			}
		}
	}
	return ""
}

// unserved are the pods of a host whose init-containers wait for work.
func (o *Restore) unserved(h Host) []Pod {
	if s := o.stat(h.Name); s != nil && s.Phase == v1beta1.HostRestoreFailed || !o.pinned(h.Name) {
		return nil // the session fails when the others are done, or its snapshots are being chosen
	}
	// One whose volumes are restored is let pass by the broker.
	return slices.DeleteFunc(slices.Clone(h.Pods), func(p Pod) bool {
		return p.Dead || !p.Agent || o.assigned(p.UID) || o.restoredTo(p)
	})
}

// give is what a waiting init-container gets: its work, a refusal, or a reason to wait.
func (o *Restore) give(host string, p Pod, now time.Time) (a Action, wait string) {
	if before := o.before(p.UID); o.Limits.Exhausted(before) {
		return FailHost(host, killed(before, p, api.ContainerRestore, "restore", "a new RestoreSession (the spec of this one cannot be changed)")), ""
	}
	if p.Shared != "" {
		return a, fmt.Sprintf("pod %q waits: pod %q still mounts its volumes", p.Name, p.Shared)
	}
	if q := o.writing(p); q != "" {
		return a, fmt.Sprintf("pod %q waits: pod %q restores its volumes, or may start on them when it comes back", p.Name, q)
	}
	return Action{Kind: KindAssign, Assignments: []v1beta1.Assignment{o.assignmentFor(host, p, now)}}, ""
}

// already tells whether a host has nothing left to be restored, and nobody said so: its volumes are
// those of another host, too.
func (o *Restore) already(h Host) bool {
	if o.stat(h.Name) != nil || len(h.Pods) == 0 {
		return false
	}
	return !slices.ContainsFunc(h.Pods, func(p Pod) bool { return o.assigned(p.UID) || !o.restoredTo(p) })
}

func (o *Restore) assignmentFor(host string, p Pod, now time.Time) v1beta1.Assignment {
	attempt := o.attempt(host)
	return v1beta1.Assignment{
		ID:       fmt.Sprintf("%s/%s/%s/%d", o.Session.UID, host, p.UID, attempt),
		Hostname: host, Pod: p.Name, PodUID: p.UID, Node: p.Node,
		Attempt: attempt, Starts: o.before(p.UID).Starts, StartTime: metav1.NewTime(now),
	}
}

// before is the work that a pod lost, or empty: its agent goes on counting.
func (o *Restore) before(podUID string) v1beta1.Assignment {
	for _, a := range o.Session.Status.Assignments {
		if a.PodUID == podUID {
			if a.Acknowledged == nil {
				a.Starts++ // its container ended before it could say that it began
			}
			return a
		}
	}
	return v1beta1.Assignment{}
}

// writing names another pod that has begun to restore a volume that p mounts too. One that was lost may
// have been done: as long as it lives it may start on its data.
func (o *Restore) writing(p Pod) string {
	for _, a := range o.Session.Status.Assignments {
		q, known := o.Pods[a.PodUID]
		if a.PodUID == p.UID || a.Lost != nil && (!known || q.Dead) {
			continue
		}
		if slices.ContainsFunc(q.Claims, func(c string) bool { return slices.Contains(p.Claims, c) }) {
			return a.Pod
		}
	}
	return ""
}

func (o *Restore) attempt(host string) int32 {
	var n int32
	for _, a := range o.Session.Status.Assignments {
		if a.Hostname == host && a.Attempt > n {
			n = a.Attempt
		}
	}
	return n + 1
}

func (o *Restore) pinned(host string) bool {
	for _, p := range o.Session.Status.Pinned {
		if p.Hostname == host {
			return true
		}
	}
	return false
}

// restoreLost takes the work from agents that are gone. A restore is repeatable, so another one may
// begin anew once the old one cannot write any more: that is when its pod is dead or its container
// has ended, not when it is silent or was never heard of.
func restoreLost(o *Restore, now time.Time) (Action, bool) {
	for _, a := range o.Session.Status.Assignments {
		if a.Lost != nil {
			continue
		}
		p, known := o.Pods[a.PodUID]
		if !known || p.Dead {
			return Action{Kind: KindLost, Assignment: a.ID, Host: a.Hostname, Message: fmt.Sprintf("pod %q ended in the middle of the restore", a.Pod)}, true
		}
		silent := now.Sub(o.since(seen(a)))
		if silent > o.Limits.Heartbeat && !p.Agent {
			return Action{Kind: KindLost, Assignment: a.ID, Host: a.Hostname, Message: fmt.Sprintf("the init-container of pod %q does not run and was not heard of for %s", a.Pod, o.Limits.Heartbeat)}, true
		}
		if act, ok := o.stalled(a, now); ok {
			return act, true
		}
	}
	return Action{}, false
}
