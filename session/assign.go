package session

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// hostNames returns the hosts of the session: those recorded when it began, or those observed.
func (o *Backup) hostNames() []string {
	t := o.target()
	var names []string
	add := func(n string) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	for _, s := range t.Stats {
		add(s.Hostname)
	}
	for _, a := range t.Assignments {
		add(a.Hostname)
	}
	for _, r := range t.Released {
		add(r.Hostname)
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
		attempt := o.attempts(name) + 1
		p, why := pick(o.host(name), attempt)
		if p == nil {
			e := o.Executors[name]
			if o.byJob() {
				why = cmp.Or(refusedAgent(o.host(name).Pods), e.why(now))
			}
			if at := o.waitsSince(name); !at.IsZero() && now.After(o.since(at).Add(o.Limits.Pods)) {
				return FailHost(name, why), true
			}
			if a, ok := e.execute(name, now); ok && o.byJob() {
				return a, true
			}
			missing = why
			continue
		}
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
		return Action{Kind: KindWait, Message: missing, After: 5 * time.Second, Ready: true}, true
	}
	return Action{}, false
}

// waitsSince is since when a host waits for a pod and for nothing else; the zero time where that begins
// now. A session may have waited for maintenance before, for longer than pods are waited for.
func (o *Backup) waitsSince(host string) time.Time {
	created := o.Session.CreationTimestamp.Time
	for _, r := range o.target().Released {
		if r.Hostname == host && r.Time != nil {
			return later(created, r.Time.Time)
		}
	}
	if at := o.Session.Status.ReadyTime; at != nil {
		return later(created, at.Time)
	}
	if o.begun() {
		return created // by an older version, which did not say
	}
	return time.Time{}
}

// attempts counts how often a host was given away before: the session's record of hosts without a
// pod has it.
func (o *Backup) attempts(host string) int32 {
	for _, r := range o.target().Released {
		if r.Hostname == host {
			return r.Attempts
		}
	}
	return 0
}

// pick chooses the pod of a host: a ready one with a running agent, else one whose agent runs. Each
// further attempt takes the next: the first choice may be a pod whose agent reaches nobody.
func pick(h Host, attempt int32) (*Pod, string) {
	var able []*Pod
	for _, ready := range []bool{true, false} {
		for i := range h.Pods {
			if p := &h.Pods[i]; p.able() && p.Ready == ready {
				able = append(able, p)
			}
		}
	}
	if len(able) > 0 {
		return able[int(max(0, attempt-1))%len(able)], ""
	}
	return nil, whyNone(h)
}

// whyNone says why no pod of a host can do its work.
func whyNone(h Host) string {
	for _, p := range h.Pods {
		if p.Ending && !p.Dead {
			return fmt.Sprintf("pod %q is being deleted", p.Name)
		}
	}
	for _, p := range h.Pods {
		if !p.Dead && !p.Injected {
			return fmt.Sprintf("pod %q has no container \"stash\": it was created before Stash could add it", p.Name)
		}
	}
	for _, p := range h.Pods {
		if !p.Dead && p.Refused != "" {
			return fmt.Sprintf("the container \"stash\" of pod %q gets no work, since it is refused: %s", p.Name, p.Refused)
		}
	}
	for _, p := range h.Pods {
		if !p.Dead {
			return fmt.Sprintf("the container \"stash\" of pod %q is not running", p.Name)
		}
	}
	return fmt.Sprintf("no pod of host %q is running", h.Name)
}
