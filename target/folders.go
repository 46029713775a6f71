package target

import (
	"slices"
	"strings"
)

// Folders are paths of folders, prepared for the question which of them lie in which others: of two long lists,
// nobody is to compare each with each.
type Folders struct {
	// sorted are all, each once and ended by a slash, so that what lies inside of a folder stands behind it
	// and begins with it.
	sorted []string
	// outer are those of them that lie in no other.
	outer []string
}

// NewFolders returns those at absolute, clean paths.
func NewFolders(paths []string) Folders {
	sorted := make([]string, 0, len(paths))
	for _, p := range paths {
		sorted = append(sorted, ended(p))
	}
	slices.Sort(sorted)
	out := Folders{sorted: slices.Compact(sorted)}
	for _, p := range out.sorted {
		if n := len(out.outer); n == 0 || !strings.HasPrefix(p, out.outer[n-1]) {
			out.outer = append(out.outer, p)
		}
	}
	return out
}

// Cover tells whether p is one of the places or lies in one.
func (s Folders) Cover(p string) bool {
	p = ended(p)
	// No outer place lies between the one that holds p and p itself.
	i, there := slices.BinarySearch(s.outer, p)
	return there || i > 0 && strings.HasPrefix(p, s.outer[i-1])
}

// Inside returns the places that are p or lie in it, sorted.
func (s Folders) Inside(p string) []string {
	p = ended(p)
	from, _ := slices.BinarySearch(s.sorted, p)
	var out []string
	for _, place := range s.sorted[from:] {
		if !strings.HasPrefix(place, p) {
			break
		}
		out = append(out, unended(place))
	}
	return out
}

// Meet tells whether p is one of the places, lies in one, or holds one.
func (s Folders) Meet(p string) bool {
	if s.Cover(p) {
		return true
	}
	p = ended(p)
	i, _ := slices.BinarySearch(s.sorted, p)
	return i < len(s.sorted) && strings.HasPrefix(s.sorted[i], p)
}

// Outer returns those of the places that lie in no other, sorted.
func (s Folders) Outer() []string {
	out := make([]string, 0, len(s.outer))
	for _, p := range s.outer {
		out = append(out, unended(p))
	}
	return out
}

func ended(p string) string {
	if p == "/" {
		return p
	}
	return p + "/"
}

func unended(p string) string {
	if p == "/" {
		return p
	}
	return strings.TrimSuffix(p, "/")
}
