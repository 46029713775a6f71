package task

import (
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Operators of a variable, as the existing Stash has them.
const (
	opAssign        = ":="
	opDefault       = ":-"
	opEquals        = "="
	opLength        = "#length"
	opUpper         = "^^"
	opUpperFirst    = "^"
	opLower         = ",,"
	opLowerFirst    = ","
	opTrimLongest   = "##"
	opTrim          = "#"
	opTrimEndMost   = "%%"
	opTrimEnd       = "%"
	opReplaceAll    = "//"
	opReplacePrefix = "/#"
	opReplaceSuffix = "/%"
	opReplace       = "/"
	opSubstring     = ":"
)

// operators returns what may follow a name, longer ones before those that they begin with.
func operators() []string {
	return []string{
		opAssign, opDefault, opEquals, opUpper, opUpperFirst, opLower, opLowerFirst, opTrimLongest, opTrim,
		opTrimEndMost, opTrimEnd, opReplaceAll, opReplacePrefix, opReplaceSuffix, opReplace, opSubstring,
	}
}

// apply returns the value of a variable that is present, changed by its operator.
func apply(op, value string, args []string) (string, string) {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch op {
	case opLength:
		return strconv.Itoa(utf8.RuneCountInString(value)), ""
	case opUpper:
		return strings.ToUpper(value), ""
	case opLower:
		return strings.ToLower(value), ""
	case opUpperFirst:
		return first(value, unicode.ToUpper), ""
	case opLowerFirst:
		return first(value, unicode.ToLower), ""
	case opTrim, opTrimLongest, opTrimEnd, opTrimEndMost:
		if len(value) > maxGlobbed || len(arg(0)) > maxGlobbed {
			return "", "value and pattern must be shorter, of " + strconv.Itoa(maxGlobbed) + " bytes at most"
		}
	}
	switch op {
	case opTrim, opTrimLongest:
		return value[prefix(value, arg(0), op == opTrimLongest):], ""
	case opTrimEnd, opTrimEndMost:
		return value[:suffix(value, arg(0), op == opTrimEndMost)], ""
	case opReplace:
		return strings.Replace(value, arg(0), arg(1), 1), ""
	case opReplaceAll:
		// An empty pattern matches nothing, as in a shell; Go's would match between all characters.
		if arg(0) == "" {
			return value, ""
		}
		return strings.ReplaceAll(value, arg(0), arg(1)), ""
	case opReplacePrefix:
		if rest, ok := strings.CutPrefix(value, arg(0)); ok {
			return arg(1) + rest, ""
		}
	case opReplaceSuffix:
		if rest, ok := strings.CutSuffix(value, arg(0)); ok {
			return rest + arg(1), ""
		}
	case opSubstring:
		return substring(value, args)
	}
	return value, ""
}

// grows tells, before memory is spent on it, whether an operator makes too much of a value.
func grows(op, value string, args []string) bool {
	if len(value) > maxLength {
		return true
	}
	if op != opReplaceAll || len(args) < 2 || args[0] == "" {
		return false
	}
	return len(value)+strings.Count(value, args[0])*(len(args[1])-len(args[0])) > maxLength
}

func first(s string, change func(rune) rune) string {
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 || r == utf8.RuneError {
		return s
	}
	return string(change(r)) + s[size:]
}

// matches tells whether the glob matches the whole of s.
func matches(glob, s string) bool {
	ok, err := path.Match(glob, s)
	return ok && err == nil
}

// plain puts another character in place of slashes: a star matches them too, as a shell's does outside
// of file names, and path.Match's does not.
func plain(s string) string { return strings.ReplaceAll(s, "/", "\x00") }

// prefix returns the length of the shortest or longest beginning that the glob matches; 0 for none.
func prefix(s, glob string, longest bool) int {
	s, glob = plain(s), plain(glob)
	found := 0
	for i := 0; i <= len(s); i++ {
		if matches(glob, s[:i]) {
			if found = i; !longest {
				break
			}
		}
	}
	return found
}

// suffix returns where the shortest or longest end that the glob matches begins.
func suffix(s, glob string, longest bool) int {
	s, glob = plain(s), plain(glob)
	found := len(s)
	for i := len(s); i >= 0; i-- {
		if matches(glob, s[i:]) {
			if found = i; !longest {
				break
			}
		}
	}
	return found
}

// substring cuts value at character offsets; what lies outside is left out. The second result is
// what is wrong with the numbers.
func substring(value string, args []string) (string, string) {
	runes := []rune(value)
	bounds := [2]int{0, len(runes)}
	for i, a := range args {
		n, err := strconv.Atoi(strings.TrimSpace(a))
		if err != nil || n < 0 {
			return "", "offset and length must be numbers that are not negative; for example ${NAME:0:8}"
		}
		bounds[i] = min(n, len(runes))
	}
	return string(runes[bounds[0]:min(bounds[0]+bounds[1], len(runes))]), ""
}
