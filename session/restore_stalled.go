package session

import (
	"fmt"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// stalled stops restic where it stands still, and fails the host where that does not help: a volume that
// hangs lets no process end. Its pod does not start, and while it lives nobody else writes to its volumes.
func (o *Restore) stalled(a v1beta1.Assignment, now time.Time) (Action, bool) {
	if a.Acknowledged == nil {
		return Action{}, false
	}
	silent, still := now.Sub(o.since(seen(a))), now.Sub(o.since(moved(a)))
	switch {
	case !a.Cancelled && still > o.Limits.Progress && silent < o.Limits.Heartbeat:
		return Action{
			Kind: KindCancel, Assignment: a.ID, Host: a.Hostname,
			Message: fmt.Sprintf("restic made no progress for %s", o.Limits.Progress),
		}, true
	case a.Cancelled && still > o.Limits.Progress+o.Limits.Heartbeat:
		why := fmt.Sprintf("the agent in %s lives but cannot stop restic, which %s: its volume or its node hangs", where(a.Pod, a.Node), standsStill(a))
		if silent > o.Limits.Heartbeat {
			why = fmt.Sprintf("the agent in %s was not heard of since %s; it was told to stop restic, which %s",
				where(a.Pod, a.Node), seen(a).UTC().Format(time.RFC3339), standsStill(a))
		}
		return Action{Kind: KindFailHost, Assignment: a.ID, Host: a.Hostname, Message: why}, true
	}
	return Action{}, false
}

func standsStill(a v1beta1.Assignment) string {
	return "stands still since " + moved(a).UTC().Format(time.RFC3339)
}

// WhyStopped says why an agent was told to stop the work of an assignment before its session's deadline.
func WhyStopped(a v1beta1.Assignment) string { return "restic was stopped, since it " + standsStill(a) }
