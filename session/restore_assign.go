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
	var wait string
	for _, h := range o.Hosts {
		if o.already(h) {
			return Action{Kind: KindAlready, Host: h.Name, Message: fmt.Sprintf("the volumes of host %q were restored before, by another that shares them", h.Name)}, true
		}
		if s := o.stat(h.Name); s != nil && s.Phase == v1beta1.HostRestoreFailed || !o.pinned(h.Name) {
			continue // the session fails when the others are done, or its snapshots are being chosen
		}
		for _, p := range h.Pods {
			// One whose volumes are restored is let pass by the broker.
			if p.Dead || !p.Agent || o.assigned(p.UID) || o.restoredTo(p) {
				continue
			}
			if p.Shared != "" {
				wait = fmt.Sprintf("pod %q waits: pod %q still mounts its volumes", p.Name, p.Shared)
				continue
			}
			if o.writing(p) {
				continue
			}
			if before := o.before(p.UID); o.Limits.Exhausted(before) {
				return FailHost(h.Name, killed(before, p, api.ContainerRestore, "restore", "a new RestoreSession (the spec of this one cannot be changed)")), true
			}
			return Action{Kind: KindAssign, Assignments: []v1beta1.Assignment{o.assignmentFor(h.Name, p, now)}}, true
		}
	}
	if wait != "" {
		return Wait(wait, 2*time.Second), true
	}
	return Action{}, false
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
			return a
		}
	}
	return v1beta1.Assignment{}
}

// writing tells whether another pod is restoring a volume that p mounts too.
func (o *Restore) writing(p Pod) bool {
	for _, a := range o.Session.Status.Assignments {
		if a.Lost != nil || a.PodUID == p.UID {
			continue
		}
		for _, c := range o.Pods[a.PodUID].Claims {
			if slices.Contains(p.Claims, c) {
				return true
			}
		}
	}
	return false
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
		if a.Progress != nil && !a.Cancelled && now.Sub(o.since(a.Progress.Time.Time)) > o.Limits.Progress && silent < o.Limits.Heartbeat {
			return Action{Kind: KindCancel, Assignment: a.ID, Host: a.Hostname, Message: fmt.Sprintf("restic made no progress for %s", o.Limits.Progress)}, true
		}
	}
	return Action{}, false
}
