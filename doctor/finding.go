package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Status is how something is.
type Status string

// From best to worst.
const (
	// OK needs nothing.
	OK Status = "OK"
	// Warning works, and should be looked at.
	Warning Status = "Warning"
	// Failure keeps Stash from working, or from being safe.
	Failure Status = "Failure"
)

// Finding is what one check found; a check may find several things.
type Finding struct {
	// Check is its name.
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Seen is what there is.
	Seen string `json:"seen"`
	// Do is what to do about it; empty when it is OK.
	Do string `json:"do,omitempty"`
}

func fine(format string, args ...any) Finding {
	return Finding{Status: OK, Seen: fmt.Sprintf(format, args...)}
}

func warn(do, format string, args ...any) Finding {
	return Finding{Status: Warning, Seen: fmt.Sprintf(format, args...), Do: do}
}

func fail(do, format string, args ...any) Finding {
	return Finding{Status: Failure, Seen: fmt.Sprintf(format, args...), Do: do}
}

// Report is all that was found.
type Report struct {
	// Version is that of the program that looked.
	Version string `json:"version"`
	// Namespace of the operator.
	Namespace string    `json:"namespace"`
	Findings  []Finding `json:"findings"`
}

// Count returns how many findings have a status.
func (r Report) Count(s Status) int {
	n := 0
	for _, f := range r.Findings {
		if f.Status == s {
			n++
		}
	}
	return n
}

// Healthy tells whether nothing failed.
func (r Report) Healthy() bool { return r.Count(Failure) == 0 }

// JSON writes the report for programs.
func (r Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Text writes the report for people.
func (r Report) Text(w io.Writer) error {
	width := 0
	for _, f := range r.Findings {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	indent := strings.Repeat(" ", len("FAILURE")+2+width+2)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-7s  %-*s  %s\n", strings.ToUpper(string(f.Status)), width, f.Check, strings.ReplaceAll(f.Seen, "\n", "\n"+indent))
		if f.Do != "" {
			fmt.Fprintf(&b, "%sto do: %s\n", indent, strings.ReplaceAll(f.Do, "\n", "\n"+indent))
		}
	}
	fmt.Fprintf(&b, "\n%d OK, %d to look at, %d failed (stash %s, namespace %s)\n", r.Count(OK), r.Count(Warning), r.Count(Failure), r.Version, r.Namespace)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
