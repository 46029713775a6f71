package task

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of what comes out of a substitution. Values come from whoever owns a namespace, templates
// from whoever administers the cluster, and the operator makes the two into one.
const (
	// maxLength of one string is what Linux takes as one argument of a program.
	maxLength = 128<<10 - 1
	// maxTotal of all strings of a document is what the API server takes as an object, about.
	maxTotal = 1 << 20
	// maxVariables in one string, and maxDepth of defaults inside defaults.
	maxVariables = 1024
	maxDepth     = 16
	// maxGlobbed is how long what a pattern cuts may be: it is tried at every character.
	maxGlobbed = 1024
	// maxErrors that are reported, maxListed names in one of them and maxShown characters of a name.
	maxErrors = 32
	maxListed = 10
	maxShown  = 64
)

// TooLongError tells that variables would make more of a string, or of all strings of a document, than
// is allowed.
type TooLongError struct {
	// Limit in bytes.
	Limit int
}

// Error says the limit.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("the values of variables make it longer than %d bytes: give shorter ones", e.Limit)
}

// shorten cuts what others wrote to what a message has room for.
func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// listed joins what format makes of names, as many as a message has room for.
func listed(names []string, format string) string {
	shown := make([]string, 0, maxListed)
	for _, n := range names[:min(len(names), maxListed)] {
		shown = append(shown, fmt.Sprintf(format, shorten(n)))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
