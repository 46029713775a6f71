package blueprint

import "strings"

// Limits of what annotations may ask for. The API server takes 256 KiB of annotations, from whoever may
// create a workload, and all of it is looked at by every replica's webhooks and by the leader: the work
// and what is said about it must not grow with its square. A workload of 16 blueprints is one that
// nobody has seen; 256 folders are more than a person writes.
const (
	maxNames  = 16
	maxPaths  = 256
	maxMounts = 256
	// maxProblems is how many problems are named at once.
	maxProblems = 20
	// maxNamed is how many of what a target has are named in a sentence.
	maxNamed = 5
	// maxValue is how much of a value is repeated, in bytes.
	maxValue = 128
)

// First returns the first problems, and says so where there are more.
func (p Problems) First(limit int) Problems {
	if len(p) <= limit {
		return p
	}
	out := append(Problems(nil), p[:limit]...)
	out[limit-1].Detail += "; there are more problems, which are named once these are mended"
	return out
}

// bounded returns the problems in a form that can be shown to people whatever the annotations hold.
func (p Problems) bounded() Problems {
	out := p.First(maxProblems)
	for i := range out {
		out[i].Value = shortened(out[i].Value)
	}
	return out
}

// shortened repeats the beginning of a text.
func shortened(s string) string {
	if len(s) <= maxValue {
		return s
	}
	return strings.ToValidUTF8(s[:maxValue-len("…")], "") + "…"
}

// some names the first of a list.
func some(names []string) string {
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > maxNamed:
		return shortened(strings.Join(names[:maxNamed], ", ")) + " and others"
	}
	return shortened(strings.Join(names, ", "))
}
