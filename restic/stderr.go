package restic

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// Bounds of what is kept of restic's stderr: a backup of unreadable files says one line for each.
const (
	// MaxItems is how many items with errors are kept by name; all are counted.
	MaxItems = 20
	maxTail  = 20
	maxText  = 2000
)

// ItemError is a file or object that restic could not work on.
type ItemError struct {
	// Item is the path, or empty.
	Item string `json:"item,omitempty"`
	// Message is restic's.
	Message string `json:"message"`
	// During is the phase: archival or restore.
	During string `json:"during,omitempty"`
}

// Stderr collects what restic says on stderr, line by line, within fixed bounds.
type Stderr struct {
	// Items are the first MaxItems errors about items.
	Items []ItemError
	// ItemCount counts all errors about items.
	ItemCount int
	// Faults are the first MaxItems errors without an item, such as those of check.
	Faults []string
	// FaultCount counts all of those.
	FaultCount int
	// Retries counts the attempts on the backend that failed and were repeated.
	Retries int
	// LastRetry is the cause of the last of them.
	LastRetry string
	// Exit is restic's own last word, empty if there was none.
	Exit string

	tail []string
}

// retryPattern is written by restic's retry layer, for example
// "Stat(<config/>) returned error, retrying after 1.02s: Stat: Access Denied.".
var retryPattern = regexp.MustCompile(`returned error, retrying after [^:]+: (.*)$`)

type stderrMessage struct {
	Type  string `json:"message_type"`
	Error struct {
		Message string `json:"message"`
	} `json:"error"`
	Message string `json:"message"`
	During  string `json:"during"`
	Item    string `json:"item"`
}

// Line takes one line. What is not JSON is kept as text; nothing is an error.
func (s *Stderr) Line(line []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	var m stderrMessage
	if line[0] != '{' || json.Unmarshal(line, &m) != nil || m.Type == "" {
		s.text(string(line))
		return
	}
	switch {
	case m.During == "scan":
		// It estimates sizes only; what it cannot read, the archiver complains about again.
	case m.Type == "exit_error":
		s.Exit = clip(m.Message)
	case m.Type == "error" && (m.Item != "" || m.During != ""):
		s.ItemCount++
		if len(s.Items) < MaxItems {
			s.Items = append(s.Items, ItemError{Item: clip(m.Item), Message: clip(m.Error.Message), During: m.During})
		}
	case m.Type == "error":
		s.FaultCount++
		if len(s.Faults) < MaxItems {
			s.Faults = append(s.Faults, clip(strings.TrimSpace(m.Message+m.Error.Message)))
		}
	}
}

func (s *Stderr) text(line string) {
	line = clip(line)
	if found := retryPattern.FindStringSubmatch(line); found != nil {
		s.Retries++
		s.LastRetry = found[1]
	}
	if len(s.tail) == maxTail {
		copy(s.tail, s.tail[1:])
		s.tail = s.tail[:maxTail-1]
	}
	s.tail = append(s.tail, line)
}

// Tail returns the last lines that were not JSON.
func (s *Stderr) Tail() []string { return s.tail }

// Message returns one line that says why restic failed. Where it was stopped while it was retrying,
// that is the cause of the last retry, not that it was stopped.
func (s *Stderr) Message() string {
	exit := oneLine(s.Exit)
	stopped := exit == "" || strings.Contains(exit, "context canceled")
	switch {
	case s.LastRetry != "" && stopped:
		return oneLine(s.LastRetry)
	case exit == "" && len(s.Items) == 0 && len(s.tail) > 0:
		return oneLine(s.lastText())
	case len(s.Items) > 0:
		first := oneLine(s.Items[0].Message)
		if item := oneLine(s.Items[0].Item); !strings.Contains(first, item) {
			first = item + ": " + first
		}
		return strings.TrimPrefix(exit+": "+first, ": ")
	case len(s.Faults) > 0:
		return strings.TrimPrefix(exit+": "+oneLine(s.Faults[0]), ": ")
	}
	return exit
}

// lastText is the last line with restic's own word for a failure, or the last line.
func (s *Stderr) lastText() string {
	for _, line := range slices.Backward(s.tail) {
		if strings.HasPrefix(line, "Fatal: ") {
			return line
		}
	}
	return s.tail[len(s.tail)-1]
}

// oneLine drops restic's "Fatal:" prefixes, the advice that follows in further lines, and control
// characters.
func oneLine(text string) string {
	text = strings.TrimSpace(text)
	if i := strings.Index(text, "\nIs there a repository"); i >= 0 {
		text = text[:i]
	}
	text, _, _ = strings.Cut(text, "\n")
	// An option that nobody can set here.
	text = strings.Replace(text, ". Use `-o s3.unsafe-anonymous-auth=true` for anonymous authentication",
		": neither the storage Secret nor the pod's own identity gives any", 1)
	text = strings.TrimPrefix(text, "Fatal: ")
	text = strings.ReplaceAll(text, ": Fatal: ", ": ")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text))
}

func clip(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.ToValidUTF8(text, "?")
}
