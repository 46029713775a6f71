package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// count numbers the steps.
var count int //nolint:gochecknoglobals // the demo is one run of one program

// step prints what comes next and why it is worth looking at.
func step(title string, lines ...string) {
	count++
	fmt.Printf("\n%s %d. %s\n", strings.Repeat("=", 3), count, title)
	for _, l := range lines {
		fmt.Println("   " + l)
	}
}

// show prints a command as a person would type it, and its output.
func show(command, output string) {
	fmt.Printf("\n   $ %s\n", command)
	for _, l := range strings.Split(strings.TrimRight(output, "\n"), "\n") {
		fmt.Println("   " + l)
	}
}

// live rewrites one line of a terminal; elsewhere it prints a line when the text changes.
type live struct{ last string }

func (l *live) print(text string) {
	if text == l.last {
		return
	}
	l.last = text
	if terminal() {
		fmt.Printf("\r\x1b[K   %s", text)
		return
	}
	fmt.Println("   " + text)
}

func (l *live) end() {
	if terminal() && l.last != "" {
		fmt.Println()
	}
}

// tick is how often something that only counts is shown.
func tick() time.Duration {
	if terminal() {
		return time.Second
	}
	return 10 * time.Second
}

func terminal() bool {
	_, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS) //nolint:gosec // a file descriptor
	return err == nil
}

// timer keeps how long things took.
type timer struct {
	rows  []row
	began time.Time
}

type row struct {
	what string
	took time.Duration
}

// time runs fn and keeps how long it took.
func (t *timer) time(what string, fn func() error) error {
	start := time.Now()
	err := fn()
	t.add(what, time.Since(start))
	return err
}

func (t *timer) add(what string, took time.Duration) { t.rows = append(t.rows, row{what, took}) }

// table prints what was kept.
func (t *timer) table() {
	width := 0
	for _, r := range t.rows {
		width = max(width, len(r.what))
	}
	for _, r := range t.rows {
		fmt.Printf("   %-*s  %8.1f s\n", width, r.what, r.took.Seconds())
	}
	fmt.Printf("   %-*s  %8.1f s\n", width, "all", time.Since(t.began).Seconds())
}
