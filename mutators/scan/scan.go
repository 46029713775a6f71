// Package scan walks JSON without decoding it: one pass, no reflection, no allocation. It is for
// documents that a serializer wrote (those of the API server), of which little is wanted. It finds
// where values begin and end and leaves judging the rest of the syntax to whoever decodes them;
// on bytes that are no JSON it stops and says so, and it never panics.
package scan

import (
	"bytes"
	"encoding/json"
)

// Reader is a position in a JSON document. Each value must be consumed by one of Object, Array,
// Skip, Raw, Text, Bool before the next Key or Element is asked for. After a fault all methods
// return zero values, so that callers may check Bad once, at the end.
type Reader struct {
	data []byte
	pos  int
	bad  bool
}

// New returns a Reader at the beginning of data.
func New(data []byte) Reader { return Reader{data: data} }

// Bad tells that the document ended early or is no JSON.
func (r *Reader) Bad() bool { return r.bad }

// Object enters an object and reports true; any other value is consumed.
func (r *Reader) Object() bool { return r.enter('{') }

// Array enters an array and reports true; any other value is consumed.
func (r *Reader) Array() bool { return r.enter('[') }

// Key returns the next key of the object that was entered, as written, and false behind the last.
func (r *Reader) Key() ([]byte, bool) {
	switch r.next() {
	case ',':
		r.pos++
		if r.next() != '"' {
			return nil, r.fail()
		}
	case '"':
	case '}':
		r.pos++
		return nil, false
	default:
		return nil, r.fail()
	}
	start := r.pos + 1
	if !r.skipString() {
		return nil, false
	}
	key := r.data[start : r.pos-1]
	if r.next() != ':' {
		return nil, r.fail()
	}
	r.pos++
	return key, true
}

// Element moves to the next element of the array that was entered and reports false behind the last.
func (r *Reader) Element() bool {
	switch r.next() {
	case ',':
		r.pos++
		if c := r.next(); c == ']' || c == 0 {
			return r.fail()
		}
		return true
	case ']':
		r.pos++
		return false
	case 0, '}', ':':
		return r.fail()
	}
	return true
}

// Null reports whether the next value is null, and consumes it only then.
func (r *Reader) Null() bool {
	if r.next() == 'n' {
		r.Skip()
		return !r.bad
	}
	return false
}

// Peek returns the first byte of the next value, 0 at the end.
func (r *Reader) Peek() byte { return r.next() }

// Bool consumes the next value and reports whether it is true.
func (r *Reader) Bool() bool {
	return string(r.Raw()) == "true"
}

// Text consumes the next value and returns a string's contents; nil for any other value. The bytes
// are those of the document unless the string holds escapes.
func (r *Reader) Text() []byte {
	raw := r.Raw()
	if len(raw) < 2 || raw[0] != '"' {
		return nil
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		r.fail()
		return nil
	}
	return []byte(s)
}

// Raw consumes the next value and returns its bytes.
func (r *Reader) Raw() []byte {
	r.next()
	start := r.pos
	r.Skip()
	if r.bad {
		return nil
	}
	return r.data[start:r.pos]
}

// Skip consumes the next value.
func (r *Reader) Skip() {
	switch r.next() {
	case '"':
		r.skipString()
	case '{', '[':
		r.skipNested()
	case 0, ',', ':', ']', '}':
		r.fail()
	default:
		for r.pos < len(r.data) && !delimiter(r.data[r.pos]) {
			r.pos++
		}
	}
}

func (r *Reader) enter(open byte) bool {
	if r.next() != open {
		r.Skip()
		return false
	}
	r.pos++
	return true
}

// next moves over white space and returns the byte there.
func (r *Reader) next() byte {
	if r.bad {
		return 0
	}
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

// skipString moves behind the string that begins here.
func (r *Reader) skipString() bool {
	i := r.pos + 1
	for {
		n := bytes.IndexByte(r.data[i:], '"')
		if n < 0 {
			return r.fail()
		}
		end := i + n
		slashes := 0
		for end-1-slashes >= i && r.data[end-1-slashes] == '\\' {
			slashes++
		}
		i = end + 1
		if slashes%2 == 0 {
			r.pos = i
			return true
		}
	}
}

func (r *Reader) skipNested() {
	for depth := 0; r.pos < len(r.data); {
		switch r.data[r.pos] {
		case '"':
			if !r.skipString() {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		r.pos++
		if depth == 0 {
			return
		}
	}
	r.fail()
}

func (r *Reader) fail() bool {
	r.bad = true
	return false
}

func delimiter(c byte) bool {
	switch c {
	case ',', ']', '}', ':', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}
