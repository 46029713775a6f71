package session

import (
	"fmt"
	"time"
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
		return Fail("DeadlineExceeded", message+": it was still waiting to begin"), true
	}
	for _, a := range t.Assignments {
		if o.stat(a.Hostname) != nil {
			continue
		}
		if !a.Cancelled && a.Lost == nil {
			return Action{Kind: KindCancel, Assignment: a.ID, Host: a.Hostname, Message: message}, true
		}
		// A lost agent may have finished in time: its result is looked for before it is failed.
		if a.Lost != nil && !a.Searched && now.Before(o.since(later(end, a.Lost.Time)).Add(o.Limits.Search)) {
			return Wait("looking for the result of a lost agent in the repository", 5*time.Second), true
		}
		if left := o.since(end).Add(o.Limits.DeadlineGrace).Sub(now); a.Lost == nil && left > 0 {
			return Wait("waiting for agents to stop", left), true
		}
		if a.Lost == nil {
			return Action{Kind: KindLost, Assignment: a.ID, Host: a.Hostname, Message: message}, true
		}
		return FailHost(a.Hostname, message), true
	}
	for _, h := range o.hostNames() {
		if o.stat(h) == nil {
			return FailHost(h, message), true
		}
	}
	return Action{}, false
}
