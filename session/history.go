package session

import (
	"slices"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// BeyondLimit are the finished sessions, of which the newest is the last, that a limit does not keep. Skipped
// ones are counted for themselves, since they say nothing of a backup, and the newest that succeeded is
// kept beside newer ones that did not: at most twice the limit and one. A limit of 0 keeps nothing.
func BeyondLimit(finished []v1beta1.BackupSession, limit int) (over []v1beta1.BackupSession) {
	kept, skipped, succeeded := 0, 0, false
	for _, bs := range slices.Backward(finished) {
		count := &kept
		if bs.Status.Phase == v1beta1.BackupSessionSkipped {
			count = &skipped
		}
		first := !succeeded && bs.Status.Phase == v1beta1.BackupSessionSucceeded
		succeeded = succeeded || first
		if *count < limit || first && limit > 0 {
			*count++
			continue
		}
		over = append(over, bs)
	}
	slices.Reverse(over)
	return over
}

// unheardKept is for how long a session waits for the result of an agent that was given up.
const unheardKept = 24 * time.Hour

// WithoutUnheard leaves out the newest session that was failed without a word of an agent: that may
// have had its result in time, and tells it when it is connected again.
func WithoutUnheard(over []v1beta1.BackupSession, now time.Time) []v1beta1.BackupSession {
	for i, bs := range slices.Backward(over) {
		at := bs.Status.CompletionTime
		if bs.Status.Phase == v1beta1.BackupSessionFailed && at != nil && now.Sub(at.Time) < unheardKept && unheard(bs.Status.Targets) {
			return slices.Delete(over, i, i+1)
		}
	}
	return over
}

// unheard tells whether a host failed of which no agent has told anything.
func unheard(targets []v1beta1.BackupTargetStatus) bool {
	return slices.ContainsFunc(targets, func(t v1beta1.BackupTargetStatus) bool {
		return len(t.Assignments) > 0 || slices.ContainsFunc(t.Stats, func(s v1beta1.HostBackupStats) bool {
			return s.Phase == v1beta1.HostBackupFailed && s.Pod == ""
		})
	})
}
