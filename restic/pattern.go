package restic

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// MaxPattern is the longest pattern that users may write, in bytes: a longer one than paths are has no use,
// and costs.
const MaxPattern = 4095

// CheckPattern returns what is wrong with a pattern of a user's.
func CheckPattern(pattern string) error {
	rest := strings.TrimPrefix(pattern, "!")
	if rest == "" {
		return fmt.Errorf("pattern %q is empty", pattern)
	}
	if len(pattern) > MaxPattern {
		return fmt.Errorf("pattern %q… has %d bytes: write at most %d, for example with * for a part of a name", strings.ToValidUTF8(pattern[:64], ""), len(pattern), MaxPattern)
	}
	if _, err := path.Match(strings.Join(split(rest), "/"), ""); err != nil {
		return fmt.Errorf("pattern %q is malformed: %w", pattern, err)
	}
	return nil
}

// RelativePatterns rewrites patterns that users wrote about absolute paths, such as
// /source/data/*.json, into those that mean the same where dir is the root, which is how restic
// takes them with "id:/dir". all tells that a pattern matches dir itself and thereby everything in
// it. A pattern that can match nothing below dir has no equivalent and is left out.
//
// Patterns are restic's: parts are separated by "/" and matched as by path.Match, "**" stands for
// any number of parts, one without leading "/" may begin at any part, and a leading "!" negates.
func RelativePatterns(patterns []string, dir string, ignoreCase bool) (relative []string, all bool, err error) {
	parts := split(dir)
	for _, pattern := range patterns {
		rest, negated := strings.CutPrefix(pattern, "!")
		if rest == "" {
			return nil, false, fmt.Errorf("pattern %q is empty", pattern)
		}
		found, whole, err := relativePattern(rest, parts, ignoreCase)
		if err != nil {
			return nil, false, fmt.Errorf("pattern %q is malformed: %w", pattern, err)
		}
		all = all || whole && !negated
		for _, p := range found {
			if negated {
				p = "!" + p
			}
			if !slices.Contains(relative, p) {
				relative = append(relative, p)
			}
		}
	}
	return relative, all, nil
}

// relativePattern walks down dir and keeps the positions in the pattern that it may be at, as an
// automaton does.
func relativePattern(pattern string, dir []string, ignoreCase bool) (relative []string, all bool, err error) {
	anywhere := !strings.HasPrefix(pattern, "/")
	parts := split(pattern)
	if len(parts) == 0 {
		return nil, true, nil // "/" is everything
	}
	at := map[int]bool{0: true}
	skip(at, parts)
	for _, name := range dir {
		next := map[int]bool{}
		for i := range at {
			switch ok, err := matchPart(parts[i], name, ignoreCase); {
			case err != nil:
				return nil, false, err
			case parts[i] == "**":
				next[i] = true
			case ok:
				next[i+1] = true
			}
		}
		if anywhere {
			next[0] = true
		}
		skip(next, parts)
		if next[len(parts)] {
			return nil, true, nil
		}
		at = next
	}
	if _, err := path.Match(strings.Join(parts, "/"), ""); err != nil {
		return nil, false, err
	}
	for i := range parts {
		if !at[i] {
			continue
		}
		rest := strings.Join(parts[i:], "/")
		if i > 0 || !anywhere {
			rest = "/" + rest
		}
		relative = append(relative, rest)
	}
	return relative, false, nil
}

// skip lets "**" stand for no part at all.
func skip(at map[int]bool, parts []string) {
	for i, part := range parts {
		if at[i] && part == "**" && i+1 < len(parts) {
			at[i+1] = true
		}
	}
}

func matchPart(pattern, name string, ignoreCase bool) (bool, error) {
	if pattern == "**" {
		return true, nil
	}
	if ignoreCase {
		pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	}
	return path.Match(pattern, name)
}

func split(p string) []string {
	p = strings.Trim(path.Clean("/"+p), "/")
	if p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

// EscapePattern returns the pattern that matches a name and nothing else.
func EscapePattern(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
