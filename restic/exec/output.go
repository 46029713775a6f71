package exec

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// maxLine is the length at which a line is cut; what is cut is no message any more and is skipped
// by the parsers.
const maxLine = 1 << 20

var errTooMuch = errors.New("output is larger than 64 MiB")

// lineWriter calls line with each line that is written to it.
type lineWriter struct {
	line func([]byte)
	rest []byte
	skip bool
}

// Write never fails: an output that we cannot read must not stop a backup.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			w.add(p)
			return n, nil
		}
		w.add(p[:end])
		w.flush()
		p = p[end+1:]
	}
}

func (w *lineWriter) add(p []byte) {
	if room := maxLine - len(w.rest); len(p) > room {
		p, w.skip = p[:room], true
	}
	if !w.skip || len(w.rest) < maxLine {
		w.rest = append(w.rest, p...)
	}
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.line(w.rest)
	}
	w.rest, w.skip = w.rest[:0], false
	if cap(w.rest) > 64<<10 { // one long line must not hold its memory for ever
		w.rest = nil
	}
}

// consumer returns what reads stdout. opened is called before the first line is handed on.
func consumer(c Command, output *bytes.Buffer, opened func()) func(io.Reader) error {
	switch {
	case c.Read != nil:
		return c.Read
	case c.Line != nil:
		return func(r io.Reader) error {
			first := sync.OnceFunc(opened)
			w := &lineWriter{line: func(line []byte) {
				first()
				c.Line(line)
			}}
			_, err := io.Copy(w, r)
			w.flush()
			return err
		}
	}
	return func(r io.Reader) error {
		n, err := io.Copy(output, io.LimitReader(r, maxOutput+1))
		if err == nil && n > maxOutput {
			return errTooMuch
		}
		return err
	}
}

// drain reads r to its end, so that restic never blocks on a pipe that nobody reads.
func drain(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
