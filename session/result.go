package session

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// RecordBackup stores the result of a host in a session and takes its assignment away. A result
// that ended before the deadline replaces a failure that was recorded meanwhile, however late it
// comes; another result of the same host never replaces a success, unless that was found in the
// repository and the agent itself can tell more of it: that it failed, too, where it knows the same
// snapshots. It reports whether the status changed.
func RecordBackup(st *v1beta1.BackupSessionStatus, s v1beta1.HostBackupStats) bool {
	if len(st.Targets) == 0 {
		return false
	}
	t := &st.Targets[0]
	t.Assignments = slices.DeleteFunc(t.Assignments, func(a v1beta1.Assignment) bool { return a.Hostname == s.Hostname })
	for i := range t.Stats {
		if t.Stats[i].Hostname != s.Hostname {
			continue
		}
		told := t.Stats[i].Phase == v1beta1.HostBackupSucceeded && (!t.Stats[i].Adopted || s.Adopted)
		if told || s.Phase != v1beta1.HostBackupSucceeded && !disowned(t.Stats[i], s) {
			return false
		}
		t.Stats[i] = s
		return true
	}
	t.Stats = append(t.Stats, s)
	slices.SortFunc(t.Stats, func(a, b v1beta1.HostBackupStats) int { return compareHosts(a.Hostname, b.Hostname) })
	return true
}

// disowned tells whether an agent that failed made the snapshots which were found and taken for its success:
// it made one of each path, and could not read what was in them.
func disowned(found, told v1beta1.HostBackupStats) bool {
	return found.Adopted && len(found.Snapshots) > 0 && !slices.ContainsFunc(found.Snapshots, func(f v1beta1.SnapshotStats) bool {
		return !slices.ContainsFunc(told.Snapshots, func(s v1beta1.SnapshotStats) bool { return s.ID == f.ID })
	})
}

// HadFiles tells whether a path of a host has had a complete snapshot with files.
func HadFiles(hosts []v1beta1.HostResult, host, path string) bool {
	return slices.ContainsFunc(hosts, func(h v1beta1.HostResult) bool {
		return h.Hostname == host && slices.ContainsFunc(h.Complete, func(c v1beta1.CompleteSnapshot) bool { return c.Path == path })
	})
}

// RecordRestore stores the result of a host and what was written to, and takes the assignment away
// from the pod that tells it: other pods of the host may have volumes of their own.
func RecordRestore(st *v1beta1.RestoreSessionStatus, podUID string, s v1beta1.HostRestoreStats, written *v1beta1.RestoredHost) {
	st.Assignments = slices.DeleteFunc(st.Assignments, func(a v1beta1.Assignment) bool {
		return a.Hostname == s.Hostname && a.PodUID == podUID
	})
	if written != nil && !slices.ContainsFunc(st.Restored, func(r v1beta1.RestoredHost) bool { return r.PodUID == written.PodUID }) {
		st.Restored = append(st.Restored, *written)
	}
	for i := range st.Stats {
		if st.Stats[i].Hostname == s.Hostname {
			if st.Stats[i].Phase != v1beta1.HostRestoreSucceeded || s.Phase == v1beta1.HostRestoreFailed {
				st.Stats[i] = s
			}
			return
		}
	}
	st.Stats = append(st.Stats, s)
}

// TrackHosts carries the results of a finished session into the configuration's own record.
func TrackHosts(st *v1beta1.BackupConfigurationStatus, session *v1beta1.BackupSession) {
	for _, t := range session.Status.Targets {
		for _, s := range t.Stats {
			i := slices.IndexFunc(st.Hosts, func(h v1beta1.HostResult) bool { return h.Hostname == s.Hostname })
			if i < 0 {
				st.Hosts = append(st.Hosts, v1beta1.HostResult{Hostname: s.Hostname})
				i = len(st.Hosts) - 1
			}
			trackHost(&st.Hosts[i], s, session)
		}
	}
	st.Hosts = bounded(st.Hosts)
	slices.SortFunc(st.Hosts, func(a, b v1beta1.HostResult) int { return compareHosts(a.Hostname, b.Hostname) })
}

// The record of hosts that are gone is bounded: a DaemonSet's are named after nodes, which come and go where
// clusters are scaled, and an object has a limit. All that a target may have are kept, unless what there is
// to say of them does not fit.
const (
	maxHosts  = target.MaxHosts
	maxRecord = 1_300_000 // of the 1.5 MiB that an object may have
)

// bounded forgets the hosts that were backed up longest ago, always the same ones: an older session that is
// looked at again must not take the place of a newer one. Retention does not touch snapshots of a host that
// is forgotten.
func bounded(hosts []v1beta1.HostResult) []v1beta1.HostResult {
	size := 0
	for _, h := range hosts {
		size += sizeOf(h)
	}
	if len(hosts) <= maxHosts && size <= maxRecord {
		return hosts
	}
	slices.SortFunc(hosts, func(a, b v1beta1.HostResult) int {
		return cmp.Or(b.Time.Compare(a.Time.Time), compareHosts(a.Hostname, b.Hostname))
	})
	for n := len(hosts); n > maxHosts || size > maxRecord; n = len(hosts) {
		size -= sizeOf(hosts[n-1])
		hosts = hosts[:n-1]
	}
	return hosts
}

// sizeOf is about how many bytes a host takes in the object, where it is noted whose its fields are, too.
func sizeOf(h v1beta1.HostResult) int {
	n := 550 + len(h.Hostname) + len(h.Session) + len(h.Error)
	for _, s := range h.Snapshots {
		n += 350 + len(s.Path)
	}
	for _, c := range h.Complete {
		n += 130 + len(c.Path)
	}
	return n
}

func trackHost(h *v1beta1.HostResult, s v1beta1.HostBackupStats, session *v1beta1.BackupSession) {
	created := session.CreationTimestamp
	// An older session that ended late says nothing of how the host is now, but may be its last success.
	late := created.Time.Before(h.Time.Time) && h.Session != session.Name
	if !late {
		h.Phase, h.Session, h.Duration, h.Error = s.Phase, session.Name, s.Duration, s.Error
		h.Time = created
	}
	if s.Phase != v1beta1.HostBackupSucceeded || h.LastSuccessTime != nil && created.Before(h.LastSuccessTime) {
		return
	}
	h.LastSuccessTime, h.Snapshots = &created, s.Snapshots
	if s.Incomplete == 0 && !s.Adopted { // what an adopted one misses nobody knows
		trackComplete(h, s)
	}
}

// trackComplete notes the snapshots that hold all of their paths.
func trackComplete(h *v1beta1.HostResult, s v1beta1.HostBackupStats) {
	for _, snap := range s.Snapshots {
		if snap.FileStats.TotalFiles == nil || *snap.FileStats.TotalFiles == 0 {
			continue
		}
		c := v1beta1.CompleteSnapshot{Path: snap.Path, ID: snap.ID, Files: *snap.FileStats.TotalFiles}
		if i := slices.IndexFunc(h.Complete, func(x v1beta1.CompleteSnapshot) bool { return x.Path == snap.Path }); i >= 0 {
			h.Complete[i] = c
		} else {
			h.Complete = append(h.Complete, c)
		}
	}
}

// compareHosts orders host-2 before host-10.
func compareHosts(a, b string) int {
	if len(a) != len(b) && trimDigits(a) == trimDigits(b) {
		return len(a) - len(b)
	}
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

func trimDigits(s string) string {
	for s != "" && s[len(s)-1] >= '0' && s[len(s)-1] <= '9' {
		s = s[:len(s)-1]
	}
	return s
}

// Took is how long a session took, as a person reads it. It began when it was created, which is known
// to the second.
func Took(created, end metav1.Time) string {
	return max(0, end.Sub(created.Time)).Round(time.Second).String()
}

// Finish sets the final phase of a session's status.
func Finish(st *v1beta1.BackupSessionStatus, phase v1beta1.BackupSessionPhase, reason string, created, now metav1.Time) {
	st.Phase, st.Reason, st.Progress = phase, reason, ""
	if st.CompletionTime == nil {
		st.CompletionTime = &now
	}
	st.SessionDuration = Took(created, *st.CompletionTime)
	for i := range st.Targets {
		t := &st.Targets[i]
		switch phase {
		case v1beta1.BackupSessionSucceeded:
			t.Phase = v1beta1.TargetSucceeded
		case v1beta1.BackupSessionFailed:
			t.Phase = v1beta1.TargetFailed
		case v1beta1.BackupSessionPending, v1beta1.BackupSessionSkipped, v1beta1.BackupSessionRunning, v1beta1.BackupSessionUnknown:
		}
		t.Assignments = nil
	}
}
