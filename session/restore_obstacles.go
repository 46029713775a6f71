package session

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// What a restore waits for is in pods that Stash does not control. So far as it shows, it is said: a count
// of hosts tells nobody what to mend.

// agent is what people know the container by that restores.
func (o *Restore) agent() string {
	if o.byJob() {
		return fmt.Sprintf("container %q", api.ContainerJob)
	}
	return "init-container"
}

// silent names an agent that has work and does not do it: it is kept from it, and asks for it again and
// again, or it says nothing.
func (o *Restore) silent(now time.Time) string {
	for _, a := range o.Session.Status.Assignments {
		switch {
		case a.Lost != nil:
		case o.heldBack(a, now):
			return fmt.Sprintf("the %s of %s asks for its work and waits: %s", o.agent(), where(a.Pod, a.Node), a.HeldReason)
		case a.Acknowledged == nil && now.Sub(o.since(offered(a))) > o.Limits.Accept:
			return fmt.Sprintf("the %s of %s has not taken its work: %s", o.agent(), where(a.Pod, a.Node), o.Pods[a.PodUID].unconnected("it is not connected to Stash"))
		case a.Acknowledged != nil && now.Sub(o.since(seen(a))) > o.Limits.Heartbeat:
			return fmt.Sprintf("the %s of %s was not heard of since %s", o.agent(), where(a.Pod, a.Node), seen(a).UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// heldBack tells whether an agent asks for its work and is not given it: of one that asked and went away since,
// nobody knows what it would hear now.
func (o *Restore) heldBack(a v1beta1.Assignment, now time.Time) bool {
	return a.Held != nil && a.HeldReason != "" && !a.Held.Time.Before(seen(a)) && now.Sub(a.Held.Time) <= o.Limits.Accept
}

// notRunning says why the init-container of a pod that waits for its data does not run.
func (o *Restore) notRunning(now time.Time) string {
	hosts := o.Hosts
	if !o.Some {
		hosts = slices.Concat(hosts, []Host{{Pods: o.Unplaced}})
	}
	for _, h := range hosts {
		for _, p := range h.Pods {
			at := where(p.Name, p.Node)
			switch {
			case p.Dead || p.Agent || o.restoredTo(p):
			case p.Waiting != "":
				return at + " cannot start: " + p.Waiting
			case p.Ended != "":
				return "the init-container of " + at + " ended and is started again: " + p.Ended
			case now.Sub(o.since(p.Created)) > o.Limits.Accept:
				return "the init-container of " + at + " has not started: kubectl describe pod says why"
			}
		}
	}
	return ""
}

// notEnding says which pod does not end, and what to do where its node never comes back.
func (o *Restore) notEnding(now time.Time) string {
	p, ok := o.stuck(now)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s was to have ended at %s and has not: if its node is gone for good, kubectl delete node %s",
		where(p.Name, p.Node), p.Ends.UTC().Format(time.RFC3339), p.Node)
}

// asked is since when pods with the init-container are asked for.
func (o *Restore) asked() time.Time {
	if c := api.FindCondition(o.Session.Status.Conditions, api.StashInitContainerInjected); c != nil {
		return c.LastTransitionTime.Time
	}
	return o.Session.CreationTimestamp.Time
}

// fewPods says why there are fewer pods than the target is to have, where each of them is to be restored.
func (o *Restore) fewPods(now time.Time) string {
	last := o.asked()
	for _, r := range o.Session.Status.Restored {
		last = later(last, r.Time.Time)
	}
	switch {
	case o.Session.Spec.Target == nil:
	case o.total() > len(o.HostNames) && now.Sub(o.since(last)) > o.Limits.Accept:
		return fmt.Sprintf("a pod is wanted on %d nodes more: kubectl describe daemonset/%s says why it is not there",
			o.total()-len(o.HostNames), o.Session.Spec.Target.Ref.Name)
	case !o.Own || o.restoredPods() >= o.Wanted:
	case o.PodRefused != "":
		return "the next pod cannot be created: " + o.PodRefused
	case now.Sub(o.since(last)) > o.Limits.Accept:
		ref := o.Session.Spec.Target.Ref
		return fmt.Sprintf("the next pod is not there, and may come only when those before it are ready: kubectl describe %s/%s says why; "+
			"it is not waited for where fewer replicas are wanted", strings.ToLower(ref.Kind), ref.Name)
	}
	return ""
}

// noPod says why a host has no pod that could be restored. Of a StatefulSet and a DaemonSet, Kubernetes
// says that in events alone.
func (o *Restore) noPod(now time.Time) string {
	for _, name := range o.HostNames {
		s := o.stat(name)
		switch {
		case s != nil && s.Phase != v1beta1.HostRestoreUnknown || len(o.pods(name)) > 0:
		case o.PodRefused != "":
			return fmt.Sprintf("no pod of %s can be created: %s", name, o.PodRefused)
		case now.Sub(o.since(o.asked())) > o.Limits.Accept && o.Session.Spec.Target != nil:
			ref := o.Session.Spec.Target.Ref
			why := fmt.Sprintf("%s has no pod: kubectl describe %s/%s says why", name, strings.ToLower(ref.Kind), ref.Name)
			if o.Nodes {
				why += "; delete the node if it is gone for good, or this RestoreSession if it is not to be restored"
			}
			return why
		}
	}
	return ""
}

// where names a pod and, where it has one, its node.
func where(pod, node string) string {
	if node == "" {
		return fmt.Sprintf("pod %q", pod)
	}
	return fmt.Sprintf("pod %q on node %q", pod, node)
}
