package controller

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

// stopped marks the assignment of a task as lost, and tells whether it did, where the agent ended its
// work for no other reason than that its own container was told to end: the pod was deleted, evicted
// or drained. That is nobody's failure; the pod that follows takes the work over. The pod's end may be
// seen before its agent says so: then it is lost already, and stays that.
func stopped(assignments []v1beta1.Assignment, r protocol.Result, now metav1.Time) bool {
	for i := range assignments {
		a := &assignments[i]
		if a.ID != r.ID {
			continue
		}
		if r.Reason != protocol.ReasonCanceled || a.Cancelled {
			return false
		}
		if a.Lost == nil {
			a.Lost = &now
		}
		// What it has finished is in its result, so there is nothing to look for unless it says so.
		a.Searched = a.Searched || len(r.Backups) == 0
		return true
	}
	return false
}
