package webhook

import (
	"slices"

	"github.com/seed-731df569/stash/mutators"
)

// Decision is what became of a request.
type Decision string

// Decisions.
const (
	// Allowed: the object is stored as it is.
	Allowed Decision = "allowed"
	// Patched: the object is stored with our patch.
	Patched Decision = "patched"
	// Denied: the request is refused.
	Denied Decision = "denied"
	// Failed: the request could not be read; the API server does what the hook's failure policy says.
	Failed Decision = "failed"
)

// Reason says why, in one word. The values are stable: they label metrics. Those of package
// mutators are used for what it decides.
type Reason string

// Reasons beside those of package mutators.
const (
	// Valid: nothing is wrong with the object.
	Valid Reason = "Valid"
	// Invalid: the object is refused with a list of what is wrong.
	Invalid Reason = "Invalid"
	// MissingRight: the object would have Stash do what its author may not do.
	MissingRight Reason = "MissingRight"
	// Unprotected: a ProtectionPolicy demands a backup, or another one.
	Unprotected Reason = "Unprotected"
	// Warned: something is wrong that this request did not cause.
	Warned Reason = "Warned"
	// UnknownRestore: the restore label names a restore that this replica does not know yet.
	UnknownRestore Reason = "UnknownRestore"
	// ForeignRestore: the restore label names a restore of another workload.
	ForeignRestore Reason = "ForeignRestore"
	// FinishedRestore: the restore ended, the pod starts on what was restored.
	FinishedRestore Reason = "FinishedRestore"
	// UnderRestore: the pod's workload is under restore and the pod would start without it.
	UnderRestore Reason = "UnderRestore"
	// NotUnderRestore: the pod's workload is not under restore.
	NotUnderRestore Reason = "NotUnderRestore"
	// NotOurs: the object asks for nothing.
	NotOurs Reason = "NotOurs"
	// LookupFailed: what the decision needs could not be read.
	LookupFailed Reason = "LookupFailed"
	// WrongKind: the object is not of the kind that the hook is for.
	WrongKind Reason = "WrongKind"
	// Unreadable: the request is no AdmissionReview, or too large.
	Unreadable Reason = "Unreadable"
	// Busy: there were too many requests at the same time.
	Busy Reason = "Busy"
	// Panicked: a bug; the log has the stack.
	Panicked Reason = "Panicked"
)

// ReasonDoc explains a Reason in the documentation.
type ReasonDoc struct {
	Reason Reason
	Text   string
}

// Reasons lists all reasons with a sentence each, for the documentation and so that metrics can be
// declared beforehand.
func Reasons() []ReasonDoc {
	own := []ReasonDoc{
		{Valid, "Nothing is wrong with the object."},
		{Invalid, "The object is refused, with a list of what is wrong."},
		{MissingRight, "The object would have Stash do what its author may not do; the answer names each right and how to grant it."},
		{Unprotected, "A ProtectionPolicy demands a backup, or another one; the answer says which."},
		{Warned, "Something is wrong that this request did not cause; it passes with a warning."},
		{UnknownRestore, "The pod's restore label names a RestoreSession that this replica does not know yet; its owner tries again."},
		{ForeignRestore, "The pod's restore label names a RestoreSession of another workload."},
		{FinishedRestore, "The restore has ended; the pod starts on what was restored."},
		{UnderRestore, "The pod's workload is under restore, and the pod would start without it."},
		{NotUnderRestore, "The namespace has a restore, the pod's workload has none."},
		{NotOurs, "The object asks Stash for nothing."},
		{LookupFailed, "What the decision needs could not be read from the cluster."},
		{WrongKind, "The object is not of the kind that the hook is for."},
		{Unreadable, "The request is no AdmissionReview, or too large."},
		{Busy, "There are too many requests at the same time; the API server is asked to try again in a second."},
		{Panicked, "A bug; the operator's log has the stack."},
	}
	return slices.Concat(own, decided())
}

// decided are the reasons of package mutators.
func decided() []ReasonDoc {
	reasons := mutators.Reasons()
	out := make([]ReasonDoc, 0, len(reasons))
	for _, r := range reasons {
		out = append(out, ReasonDoc{Reason(r.Reason), r.Text})
	}
	return out
}
