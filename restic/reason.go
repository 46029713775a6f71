package restic

import "strings"

// Reason classifies why restic failed, in words that are stable: they travel to the operator and
// become reasons of conditions and labels of metrics.
type Reason string

// Reasons. Those of exit codes are certain, the others are read from restic's messages.
const (
	// ReasonNoRepository: the backend answered and holds no repository (exit code 10).
	ReasonNoRepository Reason = "RepositoryNotFound"
	// ReasonLocked: another process holds a lock for longer than we wait (11).
	ReasonLocked Reason = "RepositoryLocked"
	// ReasonWrongPassword: no key of the repository fits RESTIC_PASSWORD (12).
	ReasonWrongPassword Reason = "WrongPassword"
	// ReasonUnreachable: the backend does not answer, or not as whom it should (TLS).
	ReasonUnreachable Reason = "BackendUnreachable"
	// ReasonAccessDenied: the backend refuses our keys.
	ReasonAccessDenied Reason = "BackendAccessDenied"
	// ReasonNoBucket: the bucket or container does not exist, or its name is not one.
	ReasonNoBucket Reason = "BucketNotFound"
	// ReasonDeadline: the time allowed was over before restic was.
	ReasonDeadline Reason = "DeadlineExceeded"
	// ReasonCanceled: somebody stopped the work.
	ReasonCanceled Reason = "Canceled"
	// ReasonPathMissing: a path to back up is not in the pod, or one to restore not in the snapshot.
	ReasonPathMissing Reason = "PathNotFound"
	// ReasonUnreadable: nothing of a path to back up could be read.
	ReasonUnreadable Reason = "PathNotReadable"
	// ReasonNoSnapshot: no snapshot has that ID.
	ReasonNoSnapshot Reason = "SnapshotNotFound"
	// ReasonOwnership: the restore would lose the owners of files.
	ReasonOwnership Reason = "OwnershipNotRestored"
	// ReasonDatabaseUnreachable: the database did not answer for as long as was waited for it.
	ReasonDatabaseUnreachable Reason = "DatabaseUnreachable"
	// ReasonDumpFailed: the program that dumps a database did not end well.
	ReasonDumpFailed Reason = "DumpFailed"
	// ReasonLoadFailed: the program that loads a dump did not end well.
	ReasonLoadFailed Reason = "LoadFailed"
	// ReasonOther: the message says what.
	ReasonOther Reason = "ResticFailed"
)

// Definitive tells whether trying again by itself cannot help, since the backend has answered and
// its answer is no. restic retries these for a quarter of an hour all the same.
func (r Reason) Definitive() bool {
	switch r {
	case ReasonNoRepository, ReasonWrongPassword, ReasonAccessDenied, ReasonNoBucket:
		return true
	case ReasonLocked, ReasonUnreachable, ReasonDeadline, ReasonCanceled, ReasonPathMissing,
		ReasonUnreadable, ReasonNoSnapshot, ReasonOwnership, ReasonDatabaseUnreachable, ReasonDumpFailed,
		ReasonLoadFailed, ReasonOther:
	}
	return false
}

// signs are pieces of messages, in lower case, and what they tell. The first match wins: an error
// of TLS or of a proxy may quote the word "denied", so the order is from the specific to the vague.
func signs() []struct {
	text   string
	reason Reason
} {
	return []struct {
		text   string
		reason Reason
	}{
		{"wrong password or no key found", ReasonWrongPassword},
		{"repository does not exist", ReasonNoRepository},
		{"repository is already locked", ReasonLocked},
		{"unable to create lock in backend", ReasonLocked},
		{"no matching id found", ReasonNoSnapshot},
		{"no snapshot found", ReasonNoSnapshot},
		{"x509:", ReasonUnreachable},
		{"tls:", ReasonUnreachable},
		{"server gave http response to https client", ReasonUnreachable},
		{"connection refused", ReasonUnreachable},
		{"connection reset", ReasonUnreachable},
		{"connection timed out", ReasonUnreachable},
		{"no such host", ReasonUnreachable},
		{"no route to host", ReasonUnreachable},
		{"network is unreachable", ReasonUnreachable},
		{"server misbehaving", ReasonUnreachable},
		{"i/o timeout", ReasonUnreachable},
		{"tls handshake timeout", ReasonUnreachable},
		{"deadline exceeded", ReasonUnreachable},
		{"request timeout", ReasonUnreachable},
		{"slow down", ReasonUnreachable},
		{"reduce your request rate", ReasonUnreachable},
		{"service unavailable", ReasonUnreachable},
		{"bad gateway", ReasonUnreachable},
		{"gateway timeout", ReasonUnreachable},
		{": eof", ReasonUnreachable},
		{"nosuchbucket", ReasonNoBucket},
		{"bucket does not exist", ReasonNoBucket},
		{"container does not exist", ReasonNoBucket},
		{"bucket not found", ReasonNoBucket},
		{"bucket name", ReasonNoBucket},
		{"invalidaccesskeyid", ReasonAccessDenied},
		{"access key id you provided does not exist", ReasonAccessDenied},
		{"signaturedoesnotmatch", ReasonAccessDenied},
		{"request signature we calculated", ReasonAccessDenied},
		{"no credentials found", ReasonAccessDenied},
		{"invalid credentials", ReasonAccessDenied},
		{"security token", ReasonAccessDenied},
		{"access denied", ReasonAccessDenied},
		{"accessdenied", ReasonAccessDenied},
		{"unauthorized", ReasonAccessDenied},
		{"forbidden", ReasonAccessDenied},
		{"permission denied", ReasonAccessDenied},
	}
}

// Says tells whether a text is part of the messages that restic is known to end with.
func Says(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	for _, s := range signs() {
		if strings.Contains(s.text, text) {
			return true
		}
	}
	return false
}

// Classify tells the reason of a failure from restic's exit code and a message. A code that speaks
// for itself is believed; for the others the message decides, and ReasonOther is what remains.
func Classify(code int, message string) Reason {
	switch code {
	case ExitNoRepository:
		return ReasonNoRepository
	case ExitLocked:
		return ReasonLocked
	case ExitWrongPassword:
		return ReasonWrongPassword
	case ExitInterrupted:
		return ReasonCanceled
	}
	// What restic says of "id:/path" where the snapshot has no such directory.
	if strings.HasPrefix(message, "path ") && (strings.HasSuffix(message, ": not found") || strings.HasSuffix(message, ": not a directory")) {
		return ReasonPathMissing
	}
	message = strings.ToLower(message)
	for _, s := range signs() {
		if strings.Contains(message, s.text) {
			return s.reason
		}
	}
	return ReasonOther
}
