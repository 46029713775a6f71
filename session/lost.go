package session

import (
	"fmt"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// lost finds agents that will not answer any more. Before their host is tried again or failed, the
// repository is searched for what they may have finished.
func lost(o *Backup, now time.Time) (Action, bool) {
	for _, a := range o.target().Assignments {
		if o.stat(a.Hostname) != nil {
			continue
		}
		if a.Lost != nil {
			if act, ok := o.searched(a, now); ok {
				return act, true
			}
			continue
		}
		if why := o.whyLost(a, now); why != "" {
			if a.Acknowledged == nil && a.Attempt < o.Limits.Attempts && o.another(a) {
				return Action{Kind: KindRelease, Assignment: a.ID, Host: a.Hostname, Message: why}, true
			}
			return Action{Kind: KindLost, Assignment: a.ID, Host: a.Hostname, Message: why}, true
		}
		if act, ok := o.stalled(a, now); ok {
			return act, true
		}
	}
	return Action{}, false
}

// stalled stops restic where it stands still, and gives up an agent that cannot stop it.
func (o *Backup) stalled(a v1beta1.Assignment, now time.Time) (Action, bool) {
	if a.Acknowledged == nil {
		return Action{}, false
	}
	still := now.Sub(o.since(moved(a)))
	switch {
	case !a.Cancelled && still > o.Limits.Progress:
		return Action{
			Kind: KindCancel, Assignment: a.ID, Host: a.Hostname,
			Message: fmt.Sprintf("restic made no progress for %s", o.Limits.Progress),
		}, true
	case a.Cancelled && still > o.Limits.Progress+o.Limits.Heartbeat:
		return Action{
			Kind: KindLost, Assignment: a.ID, Host: a.Hostname,
			Message: fmt.Sprintf("the agent in pod %q lives but cannot stop restic", a.Pod),
		}, true
	}
	return Action{}, false
}

// moved is when the work of an assignment last went on. A source that hangs may keep it from beginning.
func moved(a v1beta1.Assignment) time.Time {
	t := a.StartTime.Time
	if a.Acknowledged != nil {
		t = later(t, a.Acknowledged.Time)
	}
	if a.Progress != nil {
		t = later(t, a.Progress.Time.Time)
	}
	return t
}

// searched decides what follows on the search for a lost result that found nothing; a found one
// shows as the host's result.
func (o *Backup) searched(a v1beta1.Assignment, now time.Time) (Action, bool) {
	lost := now.Sub(o.since(a.Lost.Time))
	if !a.Searched && lost < o.Limits.Search {
		return Action{}, false
	}
	if o.Limits.Exhausted(a) {
		return FailHost(a.Hostname, killed(a, o.Pods[a.PodUID], o.container(), "backup", fmt.Sprintf("BackupConfiguration %q", o.Invoker.Name))), true
	}
	if a.Attempt < o.Limits.Attempts && o.another(a) && !a.Cancelled {
		return Action{Kind: KindRelease, Assignment: a.ID, Host: a.Hostname, Message: "trying another pod"}, true
	}
	if a.Attempt < o.Limits.Attempts && !a.Cancelled && o.back(a) {
		return Action{Kind: KindRelease, Assignment: a.ID, Host: a.Hostname, Message: fmt.Sprintf("the agent in pod %q is back, without its work", a.Pod)}, true
	}
	if !a.Cancelled && a.Attempt < o.Limits.Attempts && lost < o.Limits.Pods {
		return Action{}, false // a replacement may still come up
	}
	if a.Acknowledged == nil {
		guess := fmt.Sprintf("it is not connected to Stash, or ended before it was (kubectl logs -c %s says why)", o.container())
		return FailHost(a.Hostname, fmt.Sprintf("the agent in pod %q on node %q never took the work: %s; it %s",
			a.Pod, a.Node, o.Pods[a.PodUID].unconnected(guess), o.left(a))), true
	}
	return FailHost(a.Hostname, fmt.Sprintf("pod %q on node %q was lost in the middle of the backup and %s", a.Pod, a.Node, o.left(a))), true
}

// left says what a lost agent left in the repository, as far as anybody has looked.
func (o *Backup) left(a v1beta1.Assignment) string {
	if a.Searched {
		return "left no complete snapshot"
	}
	why := "the search did not end"
	if o.Repository == nil {
		why = fmt.Sprintf("Repository %q does not exist", o.Invoker.Spec.Repository.Name)
	} else {
		why = whyUnused(o.Repository, why)
	}
	return fmt.Sprintf("may have left a snapshot, which could not be looked for in %s: %s", o.Limits.Search, why)
}

// unconnected says why our container in the pod takes no work: what is known of it, else the guess.
func (p Pod) unconnected(guess string) string {
	if p.Refused != "" {
		return "it is refused: " + p.Refused
	}
	return guess
}

func (o *Backup) whyLost(a v1beta1.Assignment, now time.Time) string {
	p, known := o.Pods[a.PodUID]
	switch {
	case !known || p.Dead:
		return fmt.Sprintf("pod %q has ended", a.Pod)
	case a.Acknowledged == nil && now.Sub(o.since(offered(a))) > o.Limits.Accept:
		return fmt.Sprintf("the agent in pod %q never took the work: %s", a.Pod, p.unconnected("it is not connected to Stash"))
	case a.Acknowledged != nil && now.Sub(o.since(seen(a))) > o.Limits.Heartbeat:
		return fmt.Sprintf("the agent in pod %q on node %q was not heard of for %s", a.Pod, a.Node, o.Limits.Heartbeat)
	}
	return ""
}

// otherPod tells whether a living pod other than that of a can do a's host.
func (o *Backup) otherPod(a v1beta1.Assignment) bool {
	for _, p := range o.host(a.Hostname).Pods {
		if p.UID != a.PodUID && p.able() {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// offered is since when the agent of a can take its work: what is held back cannot be taken.
func offered(a v1beta1.Assignment) time.Time {
	if a.Held == nil {
		return a.StartTime.Time
	}
	return later(a.StartTime.Time, a.Held.Time)
}

// seen is when the agent of a was last heard of.
func seen(a v1beta1.Assignment) time.Time {
	t := a.StartTime.Time
	if a.Acknowledged != nil {
		t = later(t, a.Acknowledged.Time)
	}
	if a.LastSeen != nil {
		t = later(t, a.LastSeen.Time)
	}
	if a.Progress != nil {
		t = later(t, a.Progress.Time.Time)
	}
	return t
}
