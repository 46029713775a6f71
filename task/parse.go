// Package task puts values in place of the variables of Functions, Tasks and blueprints. The
// language is that of the existing Stash, ${NAME} with defaults and a shell's operators, and names
// may also hold dots and hyphens, as the design document's do.
//
// Resolve makes one pod of a Task: its Functions in order, with every variable that a Job gives.
//
// It works on decoded strings, never on marshalled JSON, so that no value can change the shape of a
// document. It looks at nothing but the values it is given: no environment, no cluster.
package task

import (
	"fmt"
	"strings"
)

// node is a piece of a template: literal text, or a variable where name is not empty.
type node struct {
	text string
	name string
	op   string
	// args are the operator's arguments, templates themselves.
	args []template
}

type template []node

// SyntaxError is a variable that cannot be read.
type SyntaxError struct {
	// Text is the template from the variable on.
	Text string
	// Reason says what is wrong and what to write.
	Reason string
}

// Error returns the reason with the beginning of the text.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("read variable %q: %s", shorten(e.Text), e.Reason)
}

type parser struct {
	in        string
	pos       int
	depth     int
	variables int
}

// parse reads a whole string.
func parse(s string) (template, error) {
	p := &parser{in: s}
	return p.template("", false)
}

// template reads up to one of the characters in until, which is left for the caller, or to the end
// where until is empty. Where escapes is true a backslash takes a slash or backslash literally.
func (p *parser) template(until string, escapes bool) (template, error) {
	var out template
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			out = append(out, node{text: text.String()})
			text.Reset()
		}
	}
	for p.pos < len(p.in) {
		c := p.in[p.pos]
		switch {
		case strings.IndexByte(until, c) >= 0:
			flush()
			return out, nil
		case escapes && c == '\\' && p.pos+1 < len(p.in) && (p.in[p.pos+1] == '/' || p.in[p.pos+1] == '\\'):
			text.WriteByte(p.in[p.pos+1])
			p.pos += 2
		case c == '$':
			literal, variable := p.dollars()
			text.WriteString(literal)
			if !variable {
				continue
			}
			flush()
			n, err := p.variable()
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		default:
			text.WriteByte(c)
			p.pos++
		}
	}
	flush()
	return out, nil
}

// dollars reads a run of dollars. Before a brace each pair stands for one dollar, and a single one
// left over begins a variable; elsewhere they mean themselves.
func (p *parser) dollars() (literal string, variable bool) {
	start := p.pos
	for p.pos < len(p.in) && p.in[p.pos] == '$' {
		p.pos++
	}
	n := p.pos - start
	if p.pos == len(p.in) || p.in[p.pos] != '{' {
		return p.in[start:p.pos], false
	}
	if n%2 == 0 {
		p.pos++
		return strings.Repeat("$", n/2) + "{", false
	}
	return strings.Repeat("$", n/2), true
}

// variable reads from the opening brace to behind the closing one.
func (p *parser) variable() (node, error) {
	start := p.pos - 1
	fail := func(reason string) (node, error) {
		return node{}, &SyntaxError{Text: p.in[start:], Reason: reason}
	}
	if p.depth++; p.depth > maxDepth {
		return fail("variables are nested too deep")
	}
	defer func() { p.depth-- }()
	if p.variables++; p.variables > maxVariables {
		return fail("there are too many variables in one string")
	}
	p.pos++
	n := node{}
	if p.peek() == '#' {
		n.op = opLength
		p.pos++
	}
	n.name = p.identifier()
	if n.name == "" {
		return fail("expected a name of letters, digits, dots, hyphens and underscores after ${; write $${ for the literal ${")
	}
	if n.op == "" {
		n.op = p.operator()
		var err error
		if n.args, err = p.arguments(n.op); err != nil {
			return node{}, err
		}
	}
	switch {
	case p.pos >= len(p.in):
		return fail("the closing } is missing; write $${ for the literal ${")
	case p.in[p.pos] != '}' || (n.op == opSubstring && len(n.args) == 0):
		return fail("unknown operator; supported are :=, :-, =, ^, ^^, the comma, #, ##, %, %%, /, // and :<offset>:<length>")
	}
	p.pos++
	return n, nil
}

func (p *parser) peek() byte {
	if p.pos < len(p.in) {
		return p.in[p.pos]
	}
	return 0
}

func (p *parser) identifier() string {
	start := p.pos
	for p.pos < len(p.in) && nameByte(p.in[p.pos], p.pos > start) {
		p.pos++
	}
	return p.in[start:p.pos]
}

// VariableName tells whether a variable can have the name.
func VariableName(name string) bool {
	p := &parser{in: name}
	return name != "" && p.identifier() == name
}

func nameByte(c byte, inside bool) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		return true
	}
	return inside && (c == '.' || c == '-')
}

// operator reads what follows the name; empty where nothing known does.
func (p *parser) operator() string {
	for _, op := range operators() {
		if strings.HasPrefix(p.in[p.pos:], op) {
			p.pos += len(op)
			return op
		}
	}
	return ""
}

// arguments reads the operator's arguments up to the closing brace.
func (p *parser) arguments(op string) ([]template, error) {
	separator := ""
	switch op {
	case "", opUpperFirst, opUpper, opLowerFirst, opLower:
		return nil, nil
	case opReplace, opReplaceAll, opReplacePrefix, opReplaceSuffix:
		separator = "/"
	case opSubstring:
		// ":?" and ":+" of a shell are neither defaults nor numbers.
		if c := p.peek(); c != '$' && (c < '0' || c > '9') {
			return nil, nil
		}
		separator = ":"
	}
	escapes := op != opAssign && op != opDefault && op != opEquals && op != opSubstring
	first, err := p.template("}"+separator, escapes)
	if err != nil {
		return nil, err
	}
	args := []template{first}
	if separator != "" && p.peek() == separator[0] {
		p.pos++
		second, err := p.template("}", escapes)
		if err != nil {
			return nil, err
		}
		args = append(args, second)
	}
	return args, nil
}
