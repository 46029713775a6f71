package session

import (
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// Kind names what an Action does.
type Kind string

// Kinds of actions on a BackupSession and a RestoreSession.
const (
	// KindNone: nothing is left to do.
	KindNone Kind = "None"
	// KindWait: look again after After, or when something changes.
	KindWait Kind = "Wait"
	// KindSkip ends a backup that shall not run now.
	KindSkip Kind = "Skip"
	// KindFail ends the session with Message as its error.
	KindFail Kind = "Fail"
	// KindAssign gives hosts to pods: Assignments are to be added.
	KindAssign Kind = "Assign"
	// KindRelease takes the host of Assignment from its pod, so that another is tried.
	KindRelease Kind = "Release"
	// KindLost marks Assignment as lost: its result is to be looked for in the repository.
	KindLost Kind = "Lost"
	// KindCancel tells the agent of Assignment to stop.
	KindCancel Kind = "Cancel"
	// KindFailHost records Host as failed with Message; what its pods lost stays lost, and so is now what
	// Assignment names.
	KindFailHost Kind = "FailHost"
	// KindFinish ends the session in Phase.
	KindFinish Kind = "Finish"
	// KindScheduleRetry sets the time of the retry to After from now.
	KindScheduleRetry Kind = "ScheduleRetry"
	// KindRetry creates the session that retries this one.
	KindRetry Kind = "Retry"
	// KindExecute makes the Job of Host, whose target has no pods of its own.
	KindExecute Kind = "Execute"
	// KindPin asks for the snapshots to be chosen, of Host where it appeared later.
	KindPin Kind = "Pin"
	// KindClose closes the namespace to unstamped pods of the target.
	KindClose Kind = "Close"
	// KindStamp puts the restore label on the workload's template.
	KindStamp Kind = "Stamp"
	// KindDeletePods deletes the Pods of the target that run without the restore label.
	KindDeletePods Kind = "DeletePods"
	// KindAlready records that Host has nothing to restore: its volumes were restored before.
	KindAlready Kind = "Already"
)

// Action is the one thing to do next. Message says why, to a person.
type Action struct {
	Kind        Kind
	Message     string
	Reason      string
	After       time.Duration
	Phase       v1beta1.BackupSessionPhase
	Host        string
	Assignment  string
	Assignments []v1beta1.Assignment
	Pods        []Pod
	// Ready tells that a session that waits has all that it needs but a pod.
	Ready bool
}

// Wait says what is waited for, and after which time it is to be looked at again.
func Wait(message string, after time.Duration) Action {
	return Action{Kind: KindWait, Message: message, After: after}
}

// Skip says why a backup does not run now.
func Skip(reason, message string) Action {
	return Action{Kind: KindSkip, Reason: reason, Message: message}
}

// Fail says why a session cannot go on.
func Fail(reason, message string) Action {
	return Action{Kind: KindFail, Reason: reason, Message: message}
}

// FailHost says why one host has no result.
func FailHost(host, message string) Action {
	return Action{Kind: KindFailHost, Host: host, Message: message}
}

// None says that a session is over.
func None() Action { return Action{Kind: KindNone} }
