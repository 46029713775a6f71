package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// screen writes for a person: numbered steps, the commands that they consist of, what came of them.
type screen struct {
	out      io.Writer
	terminal bool
	live     bool // the last line is one that changes
	last     string
	times    []took
}

type took struct {
	what string
	time time.Duration
}

func newScreen(f *os.File) *screen {
	info, err := f.Stat()
	return &screen{out: f, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (s *screen) paint(code, text string) string {
	if !s.terminal {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) printf(format string, args ...any) {
	s.endLive()
	fmt.Fprintf(s.out, format, args...)
}

func (s *screen) title(text string) { s.printf("\n%s\n", s.paint("1", text)) }

// step runs one step below a numbered heading and remembers how long it took.
func (s *screen) step(ctx context.Context, name string, run func(context.Context) error) error {
	s.printf("\n%s\n\n", s.paint("1;36", fmt.Sprintf("%d. %s", len(s.times)+1, name)))
	begin := time.Now()
	if err := run(ctx); err != nil {
		s.endLive()
		return err
	}
	s.times = append(s.times, took{name, time.Since(begin)})
	return nil
}

// say explains.
func (s *screen) say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...) + "\n") {
		s.printf("   %s", line)
	}
}

// command shows what is run, as a person would type it.
func (s *screen) command(text string) {
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		mark := "$ "
		if i > 0 {
			mark = "  "
		}
		s.printf("   %s%s\n", mark, s.paint("1", line))
	}
}

// document shows a command with what it reads, neither indented nor painted: it can be copied.
func (s *screen) document(command, text string) {
	s.printf("%s <<'EOF'\n%s\nEOF\n", command, strings.TrimRight(text, "\n"))
}

// result shows what a command said.
func (s *screen) result(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		s.printf("     %s\n", s.paint("2", strings.TrimRight(line, "\n")))
	}
	s.printf("\n")
}

// progress shows a line that changes; where there is no terminal, each change is a line.
func (s *screen) progress(text string) {
	if text == s.last {
		return
	}
	s.last = text
	if !s.terminal {
		fmt.Fprintf(s.out, "     %s\n", text)
		return
	}
	fmt.Fprintf(s.out, "\r\x1b[K     %s", text)
	s.live = true
}

func (s *screen) endLive() {
	if s.live {
		fmt.Fprintln(s.out)
	}
	s.live, s.last = false, ""
}

// summary shows how long each step took.
func (s *screen) summary() {
	s.printf("\n%s\n\n", s.paint("1;36", "How long it took"))
	width := 0
	for _, t := range s.times {
		width = max(width, len(t.what))
	}
	var sum time.Duration
	for i, t := range s.times {
		s.printf("   %2d. %-*s %6.1f s\n", i+1, width, t.what, t.time.Seconds())
		sum += t.time
	}
	s.printf("       %-*s %6.1f s\n", width, "all of it", sum.Seconds())
}
