package database

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// pgStream makes a plain dump of PostgreSQL safe and strict to load with psql.
//
// psql obeys lines of a dump that begin with a backslash: \! runs a program. So psql is put into its
// restricted mode, with a word that no dump can know, and obeys none. A dump of all databases needs one
// of them, \connect: what it names is taken if it is a database and nothing else, and psql is let out of
// the mode for that line alone. Where such a line is, and is no text of a function or of a row, is told
// by reading the dump as psql does.
//
// Roles are there already where a dump of all databases is loaded, at least the one that loads it: those
// are no errors. What a dump says of the role that loads it is left out, or it would lose its password
// half way. Everything else that fails ends the restore. A dump of one database is one transaction.
type pgStream struct {
	token string
	// own is the role that loads.
	own    string
	single bool

	lex pgLexer
	// cluster tells that it is a dump of all databases, globals that its databases have not begun.
	cluster, globals bool
	// inside tells that a transaction is open.
	inside bool
	lines  int
}

// longestLine is what a statement of a role or a \connect may have; others pass in pieces.
const longestLine = 64 << 10

const clusterHead = "-- PostgreSQL database cluster dump"

// pgIdentifier is a name as pg_dumpall writes it.
const pgIdentifier = `([a-z_][a-z0-9_$]*|"(?:[^"]|"")+")`

var (
	createRole   = regexp.MustCompile(`^CREATE ROLE ` + pgIdentifier + `;\r?\n?$`)
	aboutRole    = regexp.MustCompile(`^(?:ALTER ROLE ` + pgIdentifier + ` WITH |DROP ROLE (?:IF EXISTS )?` + pgIdentifier + `;)`)
	connectPlain = regexp.MustCompile(`^\\connect ([A-Za-z0-9_][A-Za-z0-9_.]*)[ ]*\r?\n?$`)
	connectFull  = regexp.MustCompile(`^\\connect -reuse-previous=on "dbname='((?:[^'\\"]|\\['\\]|"")+)'"[ ]*\r?\n?$`)
	// encoding goes before a \connect of a name that is no word: whatever encoding it has.
	encoding   = regexp.MustCompile(`^\\encoding SQL_ASCII[ ]*\r?\n?$`)
	restricted = regexp.MustCompile(`^\\(?:un)?restrict [A-Za-z0-9]+[ ]*\r?\n?$`)
)

// Copy copies a dump.
func (s *pgStream) Copy(dst io.Writer, src io.Reader) error {
	in := bufio.NewReaderSize(src, longestLine)
	out := bufio.NewWriterSize(dst, longestLine)
	if _, err := fmt.Fprintf(out, "\\restrict %s\n", s.token); err != nil {
		return err
	}
	start := true // of a line
	for {
		piece, err := in.ReadSlice('\n')
		whole := start && (err == nil || errors.Is(err, io.EOF))
		if len(piece) > 0 {
			if err := s.piece(out, piece, start, whole); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			start = false
		case errors.Is(err, io.EOF):
			return out.Flush()
		case err != nil:
			return errors.Join(err, out.Flush())
		default:
			start = true
		}
	}
}

// Tail ends the transaction.
func (s *pgStream) Tail() []byte {
	if s.inside {
		return []byte("\nCOMMIT;\n")
	}
	return nil
}

// piece writes a line, or a piece of a long one.
func (s *pgStream) piece(out *bufio.Writer, piece []byte, start, whole bool) error {
	if start {
		s.lines++
	}
	if start && s.lex.between() {
		if piece[0] == '\\' {
			return s.command(out, piece, whole)
		}
		done, err := s.statement(out, piece, whole)
		if done || err != nil {
			return err
		}
	}
	if !s.lex.read(piece, start, whole) {
		return fmt.Errorf("line %d of the dump holds a command for psql within a statement, which is not obeyed: the dump was not written by pg_dump, or was changed", s.lines)
	}
	_, err := out.Write(piece)
	return err
}

// command decides about a line for psql.
func (s *pgStream) command(out *bufio.Writer, line []byte, whole bool) error {
	if whole && restricted.Match(line) {
		return nil // psql is restricted already
	}
	if whole && (connectPlain.Match(line) || connectFull.Match(line) || encoding.Match(line)) {
		s.globals = false
		if s.inside {
			s.inside = false
			if _, err := out.WriteString("COMMIT;\n"); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(out, "\\unrestrict %s\n%s\n\\restrict %s\n", s.token, bytes.TrimRight(line, " \r\n"), s.token)
		return err
	}
	return fmt.Errorf("line %d of the dump is a command for psql, %q, which is not obeyed: the dump was not written by pg_dump, or was changed", s.lines, clip(strings.TrimSpace(string(line))))
}

// statement decides about a line that begins a statement, and tells whether it is done with it.
func (s *pgStream) statement(out *bufio.Writer, line []byte, whole bool) (bool, error) {
	blank := len(bytes.TrimSpace(line)) == 0 || bytes.HasPrefix(line, []byte("--"))
	switch {
	case bytes.HasPrefix(line, []byte(clusterHead)) && !s.inside && !s.cluster:
		s.cluster, s.globals = true, true
	case !blank && !s.cluster && s.single && !s.inside && !s.lex.began:
		s.inside = !alone(line)
		if s.inside {
			if _, err := out.WriteString("BEGIN;\n"); err != nil {
				return true, err
			}
		}
		s.lex.began = true
	case s.inside && alone(line):
		s.inside = false
		if _, err := out.WriteString("COMMIT;\n"); err != nil {
			return true, err
		}
	}
	if !s.globals || !whole {
		return false, nil
	}
	if m := aboutRole.FindSubmatch(line); m != nil && unquoted(string(m[1])+string(m[2])) == s.own {
		return true, s.skip(line)
	}
	if m := createRole.FindSubmatch(line); m != nil {
		if unquoted(string(m[1])) == s.own {
			return true, nil
		}
		_, err := fmt.Fprintf(out, "DO $%[1]s$ BEGIN CREATE ROLE %[2]s; EXCEPTION WHEN duplicate_object THEN NULL; END $%[1]s$;\n", s.token, m[1])
		return true, err
	}
	return false, nil
}

// skip leaves a statement out, which must end with its line.
func (s *pgStream) skip(line []byte) error {
	if s.lex.read(line, true, true); s.lex.between() {
		return nil
	}
	return fmt.Errorf("line %d of the dump is a statement about the role %q, as which it is loaded, and goes over several lines: it cannot be left out", s.lines, clip(s.own))
}

// alone tells whether a statement can be in no transaction.
func alone(line []byte) bool {
	return bytes.HasPrefix(line, []byte("CREATE DATABASE ")) || bytes.HasPrefix(line, []byte("DROP DATABASE "))
}

func unquoted(name string) string {
	if strings.HasPrefix(name, `"`) {
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return name
}
