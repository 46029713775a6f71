package target

import (
	"strings"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/restic"
)

// leftOut is what a backup leaves out of its paths.
type leftOut struct {
	// lists are those of --exclude and of --iexclude: a file that one of them matches is left out.
	lists [2]patternList
	// everything may be left out by what only the files tell: their sizes, or what lies beside them.
	everything bool
	// here tells that a path's backup ends where another file system begins, so also at a mount below it.
	here bool
	// budget is what may still be spent on looking.
	budget int
}

// patternList are patterns of restic's, of which a later one takes in again what it matches where it
// begins with an exclamation mark.
type patternList struct {
	patterns []pattern
	// keeps tells that one does.
	keeps bool
	// folded tells that all are in lower case, and names are to be.
	folded bool
}

// read takes the settings of a backup apart. Arguments that a backup is refused with leave all out.
func (e *leftOut) read(t *v1beta1.BackupTarget) {
	e.lists[1].folded = true
	for _, p := range t.Exclude {
		e.add(&e.lists[0], p)
	}
	args, err := restic.ParseBackupArgs(t.Args)
	if err != nil {
		e.everything = true
		return
	}
	for _, arg := range args {
		switch name, value, _ := strings.Cut(arg, "="); name {
		case "--exclude":
			e.add(&e.lists[0], value)
		case "--iexclude":
			e.add(&e.lists[1], strings.ToLower(value))
		case "--exclude-larger-than", "--exclude-if-present":
			e.everything = true
		case "--one-file-system":
			e.here = true
		}
	}
}

func (e *leftOut) add(to *patternList, text string) {
	if e.spend(len(text)) {
		p := parsePattern(text)
		to.patterns, to.keeps = append(to.patterns, p), to.keeps || p.keeps
	}
}

// spend takes from the budget, and tells whether there was enough of it.
func (e *leftOut) spend(n int) bool {
	e.budget -= n
	return e.budget >= 0
}

// reaches tells whether the backup of one of some paths, of which one covers a place, holds anything of what
// is mounted there.
func (e *leftOut) reaches(paths []string, place string) bool {
	if !e.here && !e.lists[0].keeps && !e.lists[1].keeps {
		return !e.all(place, place) // what leaves out a folder above leaves out this one
	}
	for _, p := range paths {
		if !e.spend(1) {
			return false
		}
		if Covers(p, place) && (p == place || !e.here) && !e.all(p, place) {
			return true
		}
	}
	return false
}

// all tells whether a backup of a path leaves out a folder in it, by itself or with one above, or all that
// is in the folder.
func (e *leftOut) all(p, folder string) bool {
	names := split(folder)
	for i := range e.lists {
		list, names := &e.lists[i], names
		if list.folded {
			names = split(strings.ToLower(folder))
		}
		// restic does not look into a folder that is left out.
		for n := min(len(split(p)), len(names)); list.keeps && n < len(names); n++ {
			if e.rejects(list, names[:n]) {
				return true
			}
		}
		if e.rejects(list, names) || e.rejects(list, append(names, anything)) {
			return true
		}
	}
	return e.budget < 0
}

// rejects tells whether a list leaves something out, with whatever name where its last one is anything. It
// does where that is too much to find out.
func (e *leftOut) rejects(list *patternList, names []string) bool {
	out := false
	for i := range list.patterns {
		p := &list.patterns[i]
		if out != p.keeps {
			continue // it would change nothing
		}
		if e.matches(p, names) {
			out = !p.keeps
		}
		if e.budget < 0 {
			return true
		}
	}
	return out
}

// matches tells whether a pattern matches a path or a folder above it, as restic's do: from the root where
// it begins with a slash, else anywhere; ** is any number of folders.
func (e *leftOut) matches(p *pattern, names []string) bool {
	// at are the places in names that what was read of the pattern can end at.
	at, next := make([]bool, len(names)+1), make([]bool, len(names)+1)
	for i := range at {
		at[i] = i == 0 || !p.rooted
	}
	for w := range p.parts {
		if !e.spend(len(at)) {
			return false
		}
		some := false
		for i := range next {
			switch want := &p.parts[w]; {
			case want.folders:
				next[i] = at[i] || i > 0 && next[i-1]
			default:
				next[i] = i > 0 && at[i-1] && e.named(want, names[i-1], p.keeps)
			}
			some = some || next[i]
		}
		if !some {
			return false
		}
		at, next = next, at
	}
	return len(p.parts) > 0
}

// named tells whether a part of a pattern matches a name. Of anything it does where it matches every name;
// of one that takes in again, where it matches any.
func (e *leftOut) named(want *part, name string, keeps bool) bool {
	if name == anything {
		return keeps || want.all
	}
	return want.matches(name, e.spend)
}
