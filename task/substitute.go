package task

import (
	"fmt"
	"slices"
	"strings"
)

// MissingError lists the variables that have neither a value nor a default.
type MissingError struct {
	// Names of the variables, sorted, each once.
	Names []string
}

// Error names the variables.
func (e *MissingError) Error() string {
	return fmt.Sprintf("no value for %s; a default is written ${NAME:=default}", listed(e.Names, "${%s}"))
}

// Substitute returns s with the variables replaced by their values. A default is used only where
// the variable is absent: one that is present and empty stays empty. $name, $(name) and a lone $ are
// left alone; $${ stands for the literal ${. A string without ${ is never changed. It is a
// *MissingError if variables have neither value nor default, all named at once, a *SyntaxError if one
// cannot be read, and a *TooLongError if the result would be.
func Substitute(s string, values map[string]string) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	t, err := parse(s)
	if err != nil {
		return "", err
	}
	e := evaluator{values: values}
	out := e.template(t)
	switch {
	case e.syntax != nil:
		return "", e.syntax
	case e.tooLong:
		return "", &TooLongError{Limit: maxLength}
	case len(e.missing) > 0:
		slices.Sort(e.missing)
		return "", &MissingError{Names: slices.Compact(e.missing)}
	}
	return out, nil
}

type evaluator struct {
	values  map[string]string
	missing []string
	syntax  error
	tooLong bool
}

func (e *evaluator) template(t template) string {
	var out strings.Builder
	for i := range t {
		piece := t[i].text
		if t[i].name != "" {
			piece = e.variable(&t[i])
		}
		if out.Len()+len(piece) > maxLength {
			e.tooLong = true
		}
		if e.tooLong {
			return ""
		}
		out.WriteString(piece)
	}
	return out.String()
}

func (e *evaluator) variable(n *node) string {
	value, ok := e.values[n.name]
	switch n.op {
	case "":
		if !ok {
			e.missing = append(e.missing, n.name)
		}
		return value
	case opAssign, opDefault, opEquals:
		if ok {
			return value
		}
		return e.template(n.args[0])
	}
	if !ok {
		e.missing = append(e.missing, n.name)
	}
	args := make([]string, len(n.args))
	for i, a := range n.args {
		args[i] = e.template(a)
	}
	// Without the value there is nothing to cut, and numbers may be missing too.
	if len(e.missing) > 0 || e.tooLong {
		return ""
	}
	if grows(n.op, value, args) {
		e.tooLong = true
		return ""
	}
	out, wrong := apply(n.op, value, args)
	if wrong != "" && e.syntax == nil {
		e.syntax = &SyntaxError{Text: "${" + n.name + n.op, Reason: wrong}
	}
	return out
}

// Variables returns the names of the variables in s that have no default, sorted, each once: those
// that Substitute needs. Names inside a default count, since they are needed when it is used.
func Variables(s string) ([]string, error) {
	if !strings.Contains(s, "${") {
		return nil, nil
	}
	t, err := parse(s)
	if err != nil {
		return nil, err
	}
	names := collect(t, nil)
	slices.Sort(names)
	return slices.Compact(names), nil
}

func collect(t template, names []string) []string {
	for i := range t {
		n := &t[i]
		if n.name == "" {
			continue
		}
		if n.op != opAssign && n.op != opDefault && n.op != opEquals {
			names = append(names, n.name)
		}
		for _, a := range n.args {
			names = collect(a, names)
		}
	}
	return names
}
