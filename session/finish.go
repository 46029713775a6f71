package session

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// maxNamed is how many hosts a session's reason names; all are in its results.
const maxNamed = 3

// finish ends a session whose hosts all have results.
func finish(o *Backup, _ time.Time) (Action, bool) {
	t := o.target()
	if t.TotalHosts == nil || len(t.Stats) < len(o.hostNames()) {
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
	total := len(t.Stats)
	if n := t.TotalHosts; n != nil && int(*n) > total {
		failed = append(failed, fmt.Sprintf("%d had no pod", int(*n)-total))
		bad += int(*n) - total
		total = int(*n)
	}
	if bad > 0 {
		return v1beta1.BackupSessionFailed, fmt.Sprintf("%d of %d hosts failed: %s", bad, total, strings.Join(failed, "; "))
	}
	if unread > 0 {
		return v1beta1.BackupSessionSucceeded, fmt.Sprintf("%d files could not be read and are missing", unread)
	}
	if c, _ := Completeness(t); c.Status == metav1.ConditionUnknown {
		return v1beta1.BackupSessionSucceeded, c.Message
	}
	return v1beta1.BackupSessionSucceeded, ""
}

// some names the first few.
func some(names []string) string {
	if len(names) > maxNamed {
		names = append(slices.Clone(names[:maxNamed]), "…")
	}
	return strings.Join(names, ", ")
}

// Completeness is the condition that says whether files are missing from the snapshots of a target:
// True where some could not be read, Unknown where a result was found in the repository, since a
// snapshot does not say what it misses. There is none where every agent said that it read all.
func Completeness(t v1beta1.BackupTargetStatus) (api.Condition, bool) {
	var unread int64
	var adopted []string
	for _, s := range t.Stats {
		unread += s.Incomplete
		if s.Adopted {
			adopted = append(adopted, s.Hostname)
		}
	}
	unknown := ""
	if len(adopted) > 0 {
		unknown = fmt.Sprintf("whether files are missing is not known of %s: the snapshots were found in the repository after the agent was lost", some(adopted))
	}
	c := api.Condition{Type: api.Incomplete}
	switch {
	case unread > 0:
		c.Status, c.Reason = metav1.ConditionTrue, "FilesNotReadable"
		c.Message = fmt.Sprintf("%d files could not be read and are missing from the snapshots; the hosts' errors name them", unread)
		if unknown != "" {
			c.Message += "; " + unknown
		}
	case unknown != "":
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, "ResultAdopted", unknown
	default:
		return c, false
	}
	return c, true
}
