package controller

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// Work takes its time, and the spec of its Repository may change meanwhile: a wrong endpoint is
// corrected while the backend is still being asked. What such work found says nothing about the place
// that the Repository names now, which is asked anew. What it did is done.

// asked notes for which spec, and with which Secret, the backend was asked.
func asked(repo *v1alpha1.Repository, w v1alpha1.RepositoryWork, now metav1.Time) {
	st := &repo.Status
	st.LastProbeTime, st.ObservedGeneration, st.StorageSecretVersion = &now, repo.Generation, w.StorageSecretVersion
}

// misleading tells whether what a search found must not be told to who asked for it: a restore would
// be bound to snapshots that the Repository does not name any more. It is searched again. A backup's
// snapshots are found where that backup was made.
func misleading(repo *v1alpha1.Repository, w v1alpha1.RepositoryWork) bool {
	return w.Generation != repo.Generation && strings.HasPrefix(w.Subject, v1beta1.KindRestoreSession+"/")
}

// recordOutdated writes what holds, of the result of work for an earlier spec, whatever the Repository
// names now: that restic has ended, that retention was applied, and that there may be locks.
func recordOutdated(repo *v1alpha1.Repository, w v1alpha1.RepositoryWork, r protocol.Result, now metav1.Time) {
	st := &repo.Status
	noteEnd(st, w, r)
	m := r.Maintained
	if m == nil {
		m = &protocol.Maintained{}
	}
	if w.Operation == v1alpha1.OperationForget && r.Error == "" {
		recordRetention(st, w, m, now)
	}
	if r.Reason == restic.ReasonLocked || session.MayInterrupt(w.Operation) && mayLeaveLock(r.Reason) || len(m.Locks) > 0 && !m.Unlocked ||
		w.Operation == v1alpha1.OperationFind && strings.HasPrefix(w.Subject, v1beta1.KindBackupSession+"/") {
		st.Locks = []string{session.UnknownLock}
	}
}
