package session

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// maxNamed is how many failed hosts a session's reason names; all are in its results.
const maxNamed = 3

// finish ends a session whose hosts all have results.
func finish(o *Backup, _ time.Time) (Action, bool) {
	t := o.target()
	if t.TotalHosts == nil || len(t.Stats) < int(*t.TotalHosts) {
		return Action{}, false
	}
	phase, reason := Outcome(t)
	return Action{Kind: KindFinish, Phase: phase, Message: reason}, true
}

// Outcome is the phase that a target's results add up to, with the sentence that says why.
func Outcome(t v1beta1.BackupTargetStatus) (v1beta1.BackupSessionPhase, string) {
	var failed []string
	var bad int
	var unread int64
	for _, s := range t.Stats {
		if s.Phase == v1beta1.HostBackupFailed {
			bad++
			if bad <= maxNamed {
				failed = append(failed, s.Hostname+": "+s.Error)
			}
		}
		unread += s.Incomplete
	}
	if bad > maxNamed {
		failed = append(failed, "…")
	}
	if bad > 0 {
		return v1beta1.BackupSessionFailed, fmt.Sprintf("%d of %d hosts failed: %s", bad, len(t.Stats), strings.Join(failed, "; "))
	}
	if unread > 0 {
		return v1beta1.BackupSessionSucceeded, fmt.Sprintf("%d files could not be read and are missing", unread)
	}
	return v1beta1.BackupSessionSucceeded, ""
}
