package session

import (
	"fmt"
	"time"
)

// complete waits until all hosts of the target have pods: in the middle of a rolling update a node has
// none for a moment, and one that is never named is never missed. What does not come is not waited for
// any longer than a pod is, and fails the session when the others are done.
func complete(o *Backup, now time.Time) (Action, bool) {
	have := int32(len(o.Hosts)) //nolint:gosec // a number of pods
	if o.begun() || have >= o.Wanted {
		return Action{}, false
	}
	if at := o.Session.Status.ReadyTime; at != nil && now.After(o.since(at.Time).Add(o.Limits.Pods)) {
		return Action{}, false
	}
	return Action{
		Kind: KindWait, After: 5 * time.Second, Ready: true,
		Message: fmt.Sprintf("%d of the %d nodes that the target wants pods on have one: waiting for the others", have, o.Wanted),
	}, true
}
