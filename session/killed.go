package session

import (
	"fmt"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// oomKilled is kubelet's word for a container that took more memory than it may.
const oomKilled = "OOMKilled"

// Exhausted tells whether the agent of an assignment is not given the work once more, though it asks
// for it: it began it so often that it will hardly end it. The assignment is lost then.
func (l Limits) Exhausted(a v1beta1.Assignment) bool { return l.Starts > 0 && a.Starts >= l.Starts }

// killed says why the work of an exhausted assignment is given up: container names that of the agent,
// work what it did and owner the object whose settings shape the container.
func killed(a v1beta1.Assignment, p Pod, container, work, owner string) string {
	setting := "spec.runtimeSettings.container.resources of " + owner
	text := fmt.Sprintf("container %q of pod %q ended %d times in the middle of the %s", container, a.Pod, a.Starts, work)
	switch p.Ended {
	case oomKilled:
		return text + ", the last time for want of memory (" + oomKilled + "): raise the memory limit in " + setting
	case "":
		return text + ", and nobody knows why: if it was for want of memory, raise the limit in " + setting
	}
	return fmt.Sprintf("%s, the last time with %s: see what it said with kubectl logs -c %s --previous %s; if it was short of memory, raise the limit in %s",
		text, p.Ended, container, a.Pod, setting)
}
