package session

import (
	"cmp"
	"fmt"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// deadline stops what runs when timeOut is over. Agents know the deadline and end by themselves; a
// result from before it still counts, so it is waited for a little longer.
func deadline(o *Backup, now time.Time) (Action, bool) {
	d := o.Invoker.Spec.TimeOut
	if d == nil {
		return Action{}, false
	}
	end := o.Session.CreationTimestamp.Add(d.Duration)
	if now.Before(end) {
		return Action{}, false
	}
	message := fmt.Sprintf("did not complete within its timeOut of %s", d.Duration)
	t := o.target()
	if t.TotalHosts == nil {
		return Fail("DeadlineExceeded", message+": it had not begun: "+o.waitedFor(now)), true
	}
	for _, a := range t.Assignments {
		if o.stat(a.Hostname) != nil {
			continue
		}
		if !a.Cancelled && a.Lost == nil {
			return Action{Kind: KindCancel, Assignment: a.ID, Host: a.Hostname, Message: message + ": " + o.lasted(a)}, true
		}
		// A lost agent may have finished in time: its result is looked for before it is failed.
		if a.Lost != nil && !a.Searched && now.Before(o.since(later(end, a.Lost.Time)).Add(o.Limits.Search)) {
			return Wait("looking for the result of a lost agent in the repository", 5*time.Second), true
		}
		if left := o.since(end).Add(o.Limits.DeadlineGrace).Sub(now); a.Lost == nil && left > 0 {
			return Wait("waiting for agents to stop", left), true
		}
		if a.Lost == nil {
			return Action{Kind: KindLost, Assignment: a.ID, Host: a.Hostname, Message: message + ": " + o.lasted(a)}, true
		}
		return FailHost(a.Hostname, message+": "+o.lasted(a)), true
	}
	for _, h := range o.hostNames() {
		if o.stat(h) == nil {
			return FailHost(h, message+": "+o.without(h, now)), true
		}
	}
	return Action{}, false
}

// waitedFor says what keeps a session from beginning, or kept it until just now.
func (o *Backup) waitedFor(now time.Time) string {
	for _, s := range []step{turn, repository, complete, assign} {
		if a, ok := s(o, now); ok {
			if a.Message != "" {
				return a.Message
			}
			break // it could begin now
		}
	}
	return cmp.Or(o.Session.Status.Reason, "nobody looked at it in time")
}

// lasted says what an agent was at when its time was over.
func (o *Backup) lasted(a v1beta1.Assignment) string {
	switch {
	case a.Acknowledged == nil && a.HeldReason != "":
		return fmt.Sprintf("the agent in pod %q asked for its work and was not given it: %s", a.Pod, a.HeldReason)
	case a.Acknowledged == nil:
		return fmt.Sprintf("the agent in pod %q never took the work: %s", a.Pod, o.Pods[a.PodUID].unconnected("it is not connected to Stash"))
	case a.Progress == nil:
		return fmt.Sprintf("the agent in pod %q took the work at %s, and restic told no progress", a.Pod, a.Acknowledged.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("in pod %q %s", a.Pod, HowFar(a))
}

// without says why a host was never given to a pod.
func (o *Backup) without(host string, now time.Time) string {
	p, why := pick(o.host(host), o.attempts(host)+1)
	switch {
	case p != nil:
		return "it was not given to a pod in time"
	case o.byJob():
		return o.Executors[host].why(now)
	}
	return why
}

// HowFar says how far the work of an assignment has come; empty where nobody knows.
func HowFar(a v1beta1.Assignment) string {
	p := a.Progress
	if p == nil {
		return ""
	}
	done := fmt.Sprintf("%d MiB", p.BytesDone>>20)
	if p.TotalBytes > 0 {
		done = fmt.Sprintf("%d of %d MiB, %d of %d files (%d %%)", p.BytesDone>>20, p.TotalBytes>>20, p.FilesDone, p.TotalFiles, p.Percent)
	}
	return fmt.Sprintf("%s were done, and it last went on at %s", done, p.Time.UTC().Format(time.RFC3339))
}
