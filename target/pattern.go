package target

import (
	"path"
	"strings"
)

// anything stands for the name of whatever lies in a folder.
const anything = "/"

// pattern is one of restic's.
type pattern struct {
	parts []part
	// rooted: it begins at the root, not anywhere.
	rooted bool
	// keeps: it takes in again what it matches.
	keeps bool
}

// part is what a pattern wants of one name.
type part struct {
	text string
	// folders: any number of names, of which none is looked at.
	folders bool
	// all: it matches every name.
	all bool
	// plain: it matches itself.
	plain bool
	// before and after are what a name must begin and end with, to be looked at further.
	before, after string
	// one: before and after are all that is wanted.
	one bool
}

// parsePattern reads a pattern as restic does, which cleans it as a path first.
func parsePattern(text string) pattern {
	rest, keeps := strings.CutPrefix(text, "!")
	p := pattern{rooted: strings.HasPrefix(rest, "/"), keeps: keeps}
	if rest == "" {
		return p // it matches nothing
	}
	names := split(path.Clean(rest))
	if len(names) == 0 {
		names = []string{"**"} // the root holds everything
	}
	for _, name := range names {
		p.parts = append(p.parts, parsePart(name))
	}
	return p
}

func parsePart(text string) part {
	p := part{text: text, folders: text == "**"}
	first, last := strings.IndexAny(text, `*?[\`), strings.LastIndexAny(text, `*?[\`)
	if p.plain = first < 0; p.plain {
		return p
	}
	stars := strings.Count(text, "*")
	p.all = stars > 0 && (stars == len(text) || stars == len(text)-1 && strings.Contains(text, "?"))
	p.before = text[:first]
	if !strings.ContainsAny(text, `[\`) {
		p.after, p.one = text[last+1:], stars == 1 && first == last
	}
	return p
}

// matches tells whether a name is wanted, as path.Match does; what that costs is spent, and where there is not
// enough to spend it is not.
func (p *part) matches(name string, spend func(int) bool) bool {
	switch {
	case p.plain:
		return name == p.text
	case len(name) < len(p.before)+len(p.after) || !strings.HasPrefix(name, p.before) || !strings.HasSuffix(name, p.after):
		return false
	case p.one:
		return true
	case !spend(len(p.text) * len(name)):
		return false
	}
	ok, err := path.Match(p.text, name)
	return ok && err == nil
}

func split(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}
