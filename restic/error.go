package restic

import (
	"errors"
	"fmt"
)

// Exit codes of restic 0.18.
const (
	// ExitOK is success.
	ExitOK = 0
	// ExitFailed is every failure without a code of its own.
	ExitFailed = 1
	// ExitIncomplete: a backup has a snapshot, but files could not be read; a forget could not
	// remove all snapshots, of which 0.18.0 says nothing by its exit code.
	ExitIncomplete = 3
	// ExitNoRepository: there is no repository at the place.
	ExitNoRepository = 10
	// ExitLocked: the repository is locked by another process.
	ExitLocked = 11
	// ExitWrongPassword: no key fits the password.
	ExitWrongPassword = 12
	// ExitInterrupted: restic was interrupted by a signal.
	ExitInterrupted = 130
)

// Sentinels that an Error matches by errors.Is, by its exit code.
var (
	ErrIncomplete    = errors.New("files could not be read")
	ErrNoRepository  = errors.New("repository does not exist")
	ErrLocked        = errors.New("repository is locked")
	ErrWrongPassword = errors.New("wrong password")
	ErrInterrupted   = errors.New("interrupted")
)

// Error is a run of restic that did not succeed. Its message is fit for people and holds no secret.
type Error struct {
	// Command is the sub-command, for example "backup".
	Command string
	// Code is the exit code; -1 where restic was killed or could not be started.
	Code int
	// Reason is the class of the failure.
	Reason Reason
	// Message is what restic said, one line.
	Message string
}

// Error says the command and restic's message.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("run restic %s: exit code %d", e.Command, e.Code)
	}
	return fmt.Sprintf("run restic %s: %s", e.Command, e.Message)
}

// Is matches the sentinel of the exit code.
func (e *Error) Is(target error) bool {
	switch e.Code {
	case ExitIncomplete:
		return target == ErrIncomplete
	case ExitNoRepository:
		return target == ErrNoRepository
	case ExitLocked:
		return target == ErrLocked
	case ExitWrongPassword:
		return target == ErrWrongPassword
	case ExitInterrupted:
		return target == ErrInterrupted
	}
	return false
}

// ReasonOf returns the Reason of an error, ReasonOther where it is not restic's, and "" for nil.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ReasonOther
}
