package database

import "bytes"

// pgLexer follows SQL as far as is needed to tell where statements begin, and what is the text of a
// string, a function, a comment or of rows. It is fed with lines, long ones in pieces.
type pgLexer struct {
	state pgState
	// tag of a dollar quote, with both dollars; seen is how much of it, or of one that may begin, is there.
	tag, seen []byte
	depth     int     // of comments
	last      [2]byte // the byte before, and the one before that
	// head and tail are the beginning and the end of the statement, in capitals and without quoted texts.
	head, tail []byte
	// began tells that there was a statement.
	began bool
}

type pgState int

const (
	pgPlain   pgState = iota
	pgQuoted          // '…'
	pgEscaped         // E'…'
	pgNamed           // "…"
	pgDollar          // $tag$…$tag$
	pgLine            // --…
	pgComment         // /*…*/
	pgRows            // of COPY … FROM stdin
)

// keptOfStatement is enough for COPY and FROM STDIN.
const keptOfStatement = 32

// between tells whether no statement has begun, so that the next line may begin one.
func (l *pgLexer) between() bool { return l.state == pgPlain && len(l.head) == 0 && len(l.seen) == 0 }

// read takes a line, or a piece of one, and tells whether it holds no backslash that psql would obey.
func (l *pgLexer) read(piece []byte, start, whole bool) bool {
	if l.state == pgRows {
		if start && whole && string(bytes.TrimRight(piece, "\r\n")) == `\.` {
			l.state, l.last = pgPlain, [2]byte{'\n'}
		}
		return true
	}
	rows := false
	for len(piece) > 0 {
		if l.state != pgPlain {
			piece = piece[l.inside(piece):]
			continue
		}
		c := piece[0]
		piece = piece[1:]
		if c == '\\' {
			return false
		}
		rows = l.plain(c) || rows
		l.last = [2]byte{c, l.last[0]}
	}
	if rows {
		l.state = pgRows
	}
	return true
}

// plain takes a byte outside of quotes and comments, and tells whether rows follow the line.
func (l *pgLexer) plain(c byte) (rows bool) {
	if l.dollar(c) {
		return false
	}
	switch {
	case c == '\'' && (l.last[0]|0x20) == 'e' && !identifier(l.last[1]):
		l.state = pgEscaped
	case c == '\'':
		l.state = pgQuoted
	case c == '"':
		l.state = pgNamed
	case c == '-' && l.last[0] == '-':
		l.state = pgLine
		l.forget()
		return false
	case c == '*' && l.last[0] == '/':
		l.state, l.depth = pgComment, 1
		l.forget()
		return false
	case c == ';':
		rows = bytes.HasPrefix(l.head, []byte("COPY ")) && bytes.HasSuffix(bytes.TrimSpace(l.tail), []byte(" FROM STDIN"))
		l.head, l.tail = l.head[:0], l.tail[:0]
		return rows
	}
	l.keep(c)
	return false
}

// dollar takes a byte of what may be the beginning of a dollar quote, and tells whether it did.
func (l *pgLexer) dollar(c byte) bool {
	switch {
	case len(l.seen) == 0 && c == '$' && !identifier(l.last[0]):
		l.seen = append(l.seen, c)
		l.keep(c)
		return true
	case len(l.seen) == 0:
		return false
	case c == '$':
		l.tag = append(append(l.tag[:0], l.seen...), c)
		l.seen, l.state = l.seen[:0], pgDollar
		return true
	case identifier(c) && (len(l.seen) > 1 || c < '0' || c > '9') && len(l.seen) < longestLine:
		l.seen = append(l.seen, c)
		return true
	}
	l.seen = l.seen[:0]
	return false
}

// identifier tells whether a byte can be in a name, where a dollar begins no quote.
func identifier(c byte) bool {
	return c == '_' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// keep remembers a byte of the statement.
func (l *pgLexer) keep(c byte) {
	switch {
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		if c = ' '; len(l.head) == 0 || l.tail[len(l.tail)-1] == ' ' {
			return
		}
	case c >= 'a' && c <= 'z':
		c -= 'a' - 'A'
	}
	if len(l.head) < keptOfStatement {
		l.head = append(l.head, c)
	}
	if len(l.tail) == 2*keptOfStatement {
		l.tail = append(l.tail[:0], l.tail[keptOfStatement:]...)
	}
	l.tail = append(l.tail, c)
}

// forget takes back the first byte of a comment's sign.
func (l *pgLexer) forget() {
	l.last = [2]byte{}
	if len(l.tail) > 0 {
		l.tail = l.tail[:len(l.tail)-1]
	}
	if len(l.head) < keptOfStatement && len(l.head) > 0 {
		l.head = l.head[:len(l.head)-1]
	}
}

// inside takes what is quoted or a comment, and returns how much of it.
func (l *pgLexer) inside(piece []byte) int {
	switch l.state {
	case pgQuoted:
		return l.until(piece, '\'')
	case pgNamed:
		return l.until(piece, '"')
	case pgLine:
		return l.until(piece, '\n')
	case pgDollar:
		return l.dollarQuoted(piece)
	case pgEscaped:
		c := piece[0]
		switch {
		case l.last[0] == '\\': // whatever it is
			l.last[0] = 0
		case c == '\'':
			l.leave(c)
		default:
			l.last[0] = c
		}
	case pgComment:
		c := piece[0]
		switch {
		case l.last[0] == '*' && c == '/':
			l.last[0] = 0
			if l.depth--; l.depth == 0 {
				l.leave(0)
			}
		case l.last[0] == '/' && c == '*':
			l.depth++
			l.last[0] = 0
		default:
			l.last[0] = c
		}
	case pgPlain, pgRows:
	}
	return 1
}

// until takes all up to the byte that ends it. A quote that is doubled ends and begins it again.
func (l *pgLexer) until(piece []byte, end byte) int {
	i := bytes.IndexByte(piece, end)
	if i < 0 {
		return len(piece)
	}
	l.leave(end)
	return i + 1
}

func (l *pgLexer) leave(c byte) { l.state, l.last = pgPlain, [2]byte{c} }

// dollarQuoted looks for the tag again.
func (l *pgLexer) dollarQuoted(piece []byte) int {
	if len(l.seen) == 0 {
		i := bytes.IndexByte(piece, '$')
		if i < 0 {
			return len(piece)
		}
		l.seen = append(l.seen, '$')
		return i + 1
	}
	c := piece[0]
	switch {
	case c == l.tag[len(l.seen)] && len(l.seen) == len(l.tag)-1:
		l.seen = l.seen[:0]
		l.leave('$')
	case c == l.tag[len(l.seen)]:
		l.seen = append(l.seen, c)
	case c == '$': // it may be the first of the tag
		l.seen = l.seen[:1]
	default:
		l.seen = l.seen[:0]
	}
	return 1
}
