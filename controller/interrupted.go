package controller

import (
	"slices"
	"time"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// interruption is what keeps a Repository's location taken after a result of its worker: retention or a
// check that has failed and may have left its exclusive lock, until a look has removed it or found that
// there is none. A look that the backend refuses ends it too: who waits is told by the backend itself.
func interruption(repo *v1alpha1.Repository, w v1alpha1.RepositoryWork, r protocol.Result, now time.Time) *v1alpha1.InterruptedWork {
	i := session.Interrupted(repo, now)
	switch {
	case w.Operation == v1alpha1.OperationUnlock && (r.Reason.Definitive() || r.Error == "" && !leftBy(repo, i, r.Maintained)):
		return nil
	case session.MayInterrupt(w.Operation) && r.Error != "" && (mayLeaveLock(r.Reason) || r.Reason == restic.ReasonAccessDenied):
		after := repo.DeepCopy()
		if w.AskedTime == nil {
			w.AskedTime = &w.StartTime // it has a result, so that a worker took it
		}
		if session.Interrupt(after, w, now) {
			return after.Status.Interrupted
		}
	}
	return i
}

// leftBy tells whether a look found an exclusive lock of the pod that was interrupted, and left it.
func leftBy(repo *v1alpha1.Repository, i *v1alpha1.InterruptedWork, m *protocol.Maintained) bool {
	if i == nil || m == nil || m.Unlocked {
		return false
	}
	return slices.ContainsFunc(repo.Status.Holders, func(h v1alpha1.Holder) bool {
		return h.UID == i.PodUID && slices.ContainsFunc(m.Locks, func(l restic.Lock) bool { return l.Exclusive && l.Hostname == host(h) })
	})
}
