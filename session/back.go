package session

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// A lost agent may come back: its node was cut off, or its container was started again in the same
// pod. If it still works on its task or has its result, that counts as if it had never been away. If
// it has neither, it shows as seen after it was lost, and the next attempt may be its own.

// Back notes that the agent of a lost backup is connected and has no work. It reports whether that is
// news.
func Back(a *v1beta1.Assignment, now metav1.Time) bool {
	if a.Lost == nil || a.Cancelled || a.LastSeen != nil && a.LastSeen.After(a.Lost.Time) {
		return false
	}
	a.LastSeen = &now
	return true
}

// back tells whether the agent of a lost backup can try again.
func (o *Backup) back(a v1beta1.Assignment) bool {
	return o.Pods[a.PodUID].able() && a.LastSeen != nil && a.LastSeen.After(a.Lost.Time)
}

// Outdated tells whether the failure of a task is not the result of its host, since the work was given
// up before: then another attempt is under way or follows. A success counts whosever it is.
func Outdated(t *v1beta1.BackupTargetStatus, task, host string, l Limits, now metav1.Time) bool {
	if slices.ContainsFunc(t.Stats, func(s v1beta1.HostBackupStats) bool { return s.Hostname == host }) {
		return false
	}
	i := slices.IndexFunc(t.Assignments, func(a v1beta1.Assignment) bool { return a.ID == task })
	if i < 0 {
		return true
	}
	a := &t.Assignments[i]
	if a.Lost == nil || a.Cancelled || a.Attempt >= l.Attempts || l.Exhausted(*a) {
		return false // nobody gave it up, or nothing follows
	}
	Back(a, now)
	return true
}
