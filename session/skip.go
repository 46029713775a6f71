package session

import "time"

// Reasons of skipped sessions; the condition's reason is Stash's, these are the metric's label.
const (
	ReasonNotReady  = "InvokerNotReady"
	ReasonOverlap   = "AnotherSessionRunning"
	ReasonRestoring = "TargetUnderRestore"
	ReasonNoPods    = "TargetHasNoPods"
)

// skip decides whether a session that has not begun shall begin. One that runs is never skipped.
func skip(o *Backup, _ time.Time) (Action, bool) {
	if o.begun() {
		return Action{}, false
	}
	switch {
	case o.Earlier != "":
		return Skip(ReasonOverlap, "BackupSession \""+o.Earlier+"\" of the same configuration is still running"), true
	case o.Restoring != "":
		return Skip(ReasonRestoring, "RestoreSession \""+o.Restoring+"\" holds the target: no backup is taken until it has ended"), true
	case o.NotReady != "":
		return Skip(ReasonNotReady, o.NotReady), true
	case len(o.Hosts) == 0:
		return Skip(ReasonNoPods, "the target has no pods to back up: it is scaled to zero or its pods cannot be created"), true
	}
	return Action{}, false
}
