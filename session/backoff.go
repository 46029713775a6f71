package session

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/restic"
)

// BacksOffAlone tells whether nothing else waits while an operation that failed is not tried again. Keys
// that may not delete fail retention for ever: what is listed and checked is so all the same, and whether
// the backend can be used says a probe.
func BacksOffAlone(op v1alpha1.RepositoryOperation) bool {
	return MayInterrupt(op) || op == v1alpha1.OperationUnlock
}

// BackOff notes that an operation has failed.
func BackOff(st *v1alpha1.RepositoryStatus, op v1alpha1.RepositoryOperation, reason string, now time.Time) {
	i := slices.IndexFunc(st.Backoffs, func(b v1alpha1.OperationBackoff) bool { return b.Operation == op })
	if i < 0 {
		i, st.Backoffs = len(st.Backoffs), append(st.Backoffs, v1alpha1.OperationBackoff{Operation: op})
	}
	b := &st.Backoffs[i]
	b.Failures++
	b.Reason, b.NextAttempt = reason, metav1.NewTime(now.Add(Backoff(b.Failures)))
}

// Resume takes back what kept an operation waiting that has succeeded. After a look at the locks that left
// none, what only they had kept waiting is tried again, too.
func Resume(st *v1alpha1.RepositoryStatus, op v1alpha1.RepositoryOperation, locks bool) {
	st.Backoffs = slices.DeleteFunc(st.Backoffs, func(b v1alpha1.OperationBackoff) bool {
		return b.Operation == op || op == v1alpha1.OperationUnlock && !locks && b.Reason == string(restic.ReasonLocked)
	})
}

// backsOff is how long an operation is not tried again.
func (o *Repository) backsOff(op v1alpha1.RepositoryOperation, now time.Time) time.Duration {
	for _, b := range o.Repository.Status.Backoffs {
		if b.Operation == op {
			return max(0, b.NextAttempt.Sub(now))
		}
	}
	return 0
}
