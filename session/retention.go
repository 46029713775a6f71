package session

import (
	"slices"
	"time"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// retentionDue returns the configuration whose newest session with snapshots retention did not see.
func (o *Repository) retentionDue() (*User, string) {
	for i := range o.Users {
		u := &o.Users[i]
		last := u.Config.Status.LastSession
		if u.Held != "" || last == nil || !leftSnapshots(u.Config.Status) || u.Config.Spec.RetentionPolicy.IsEmpty() {
			continue
		}
		seen := slices.IndexFunc(o.Repository.Status.Retentions, func(r v1alpha1.RetentionStatus) bool {
			return r.Invoker == u.Invoker && r.Session == last.UID
		})
		if seen < 0 {
			return u, last.UID
		}
	}
	return nil, ""
}

// leftSnapshots tells whether the last session of a configuration left a snapshot: one host that always
// fails must not keep those of all others from being forgotten.
func leftSnapshots(st v1beta1.BackupConfigurationStatus) bool {
	last := st.LastSession
	switch last.Phase {
	case v1beta1.BackupSessionSucceeded:
		return true
	case v1beta1.BackupSessionFailed:
		return slices.ContainsFunc(st.Hosts, func(h v1beta1.HostResult) bool {
			return h.Session == last.Name && h.Phase == v1beta1.HostBackupSucceeded
		})
	case v1beta1.BackupSessionPending, v1beta1.BackupSessionRunning, v1beta1.BackupSessionSkipped, v1beta1.BackupSessionUnknown:
	}
	return false
}

// KeepsAll tells whether retention leaves all snapshots of a host alone: its newest backup failed, and
// those that it has may be the last that it will ever have.
func KeepsAll(h v1beta1.HostResult) bool { return h.Phase != v1beta1.HostBackupSucceeded }

// PruneDue tells whether retention may prune now.
func PruneDue(st v1alpha1.RepositoryStatus, p v1beta1.RetentionPolicy, now time.Time) bool {
	return p.Prune && !p.DryRun && (st.LastPruneTime == nil || now.Sub(st.LastPruneTime.Time) >= pruneInterval)
}
