package session

import (
	"fmt"
	"time"
)

// overtakenAfter is how long a restore may wait for its Repository while a later one could begin: both
// may come with it, in any order.
const overtakenAfter = 30 * time.Second

// overtaken ends a restore that waits for a Repository that does not exist, where a later one of the
// same target only waits for it. It is never taken up again: what is restored last is what was asked
// for last.
func overtaken(o *Restore, now time.Time) (Action, bool) {
	if o.Repository != nil || o.Later == "" || o.restoring() || o.Session.Status.Hash != "" {
		return Action{}, false
	}
	if now.Sub(o.Session.CreationTimestamp.Time) < overtakenAfter {
		return Action{}, false
	}
	return Fail("RepositoryNotAvailable", fmt.Sprintf("Repository %q does not exist, and RestoreSession %q of the same target, which was created since, can begin",
		o.Session.Spec.Repository.Name, o.Later)), true
}
