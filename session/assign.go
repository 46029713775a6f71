package session

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// hostNames returns the hosts of the session: those recorded when it began, or those observed.
func (o *Backup) hostNames() []string {
	t := o.target()
	var names []string
	add := func(n string) {
		for _, x := range names {
			if x == n {
				return
			}
		}
		names = append(names, n)
	}
	for _, s := range t.Stats {
		add(s.Hostname)
	}
	for _, a := range t.Assignments {
		add(a.Hostname)
	}
	for _, h := range o.Hosts {
		if t.TotalHosts != nil && len(names) >= int(*t.TotalHosts) {
			break
		}
		add(h.Name)
	}
	return names
}

// assign gives every host that has neither result nor pod to its best pod.
func assign(o *Backup, now time.Time) (Action, bool) {
	var list []v1beta1.Assignment
	var missing string
	for _, name := range o.hostNames() {
		if o.stat(name) != nil || o.assignment(name) != nil {
			continue
		}
		p, why := pick(o.host(name))
		if p == nil {
			if now.After(later(o.Session.CreationTimestamp.Time, o.LeaderSince).Add(o.Limits.Pods)) {
				return FailHost(name, why), true
			}
			missing = why
			continue
		}
		attempt := o.attempts(name) + 1
		list = append(list, v1beta1.Assignment{
			ID:       fmt.Sprintf("%s/%s/%d", o.Session.UID, name, attempt),
			Hostname: name, Pod: p.Name, PodUID: p.UID, Node: p.Node,
			Attempt: attempt, StartTime: metav1.NewTime(now),
		})
	}
	if len(list) > 0 {
		return Action{Kind: KindAssign, Assignments: list}, true
	}
	if missing != "" {
		return Wait(missing, 5*time.Second), true
	}
	return Action{}, false
}

// attempts counts how often a host was given away before; a released assignment leaves its number
// in the session's record of the host.
func (o *Backup) attempts(host string) int32 {
	for _, r := range o.target().Released {
		if r.Hostname == host {
			return r.Attempts
		}
	}
	return 0
}

// pick chooses the pod of a host: a ready one with a running agent, else one whose agent runs.
func pick(h Host) (*Pod, string) {
	var best *Pod
	for i := range h.Pods {
		p := &h.Pods[i]
		if p.Dead || !p.Agent {
			continue
		}
		if best == nil || p.Ready && !best.Ready {
			best = p
		}
	}
	if best != nil {
		return best, ""
	}
	for _, p := range h.Pods {
		if !p.Dead && !p.Injected {
			return nil, fmt.Sprintf("pod %q has no container \"stash\": it was created before Stash could add it", p.Name)
		}
	}
	for _, p := range h.Pods {
		if !p.Dead {
			return nil, fmt.Sprintf("the container \"stash\" of pod %q is not running", p.Name)
		}
	}
	return nil, fmt.Sprintf("no pod of host %q is running", h.Name)
}
