package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// report collects figures: a line for each budget, and tables with what is behind it.
type report struct {
	facts   []fact
	budgets table
	details []table
	began   string // the load then
}

type fact struct{ name, value string }

// table is one of Markdown.
type table struct {
	title string
	head  []string
	rows  [][]string
}

func newReport(command string) *report {
	r := &report{began: load()}
	r.budgets = table{title: "Budgets", head: []string{"what", "budget", "measured", ""}}
	r.about("command", "`"+command+"`")
	r.about("date", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	r.about("processor", fmt.Sprintf("%s, %d cores", field("/proc/cpuinfo", "model name"), runtime.NumCPU()))
	r.about("memory", memory())
	r.about("kernel", kernel())
	r.about("Go", runtime.Version())
	return r
}

func (r *report) about(name, value string) { r.facts = append(r.facts, fact{name, value}) }

// budget adds a line. met says whether the figure is within the budget.
func (r *report) budget(what, budget, figure string, met bool) {
	verdict := "met"
	if !met {
		verdict = "**missed**"
	}
	r.budgets.rows = append(r.budgets.rows, []string{what, budget, figure, verdict})
}

func (r *report) detail(t table) { r.details = append(r.details, t) }

func (r *report) print(out io.Writer) error {
	r.about("load average", "of the whole machine: "+r.began+" at the start, "+load()+" at the end")
	machine := table{title: "Machine", head: []string{"", ""}}
	for _, f := range r.facts {
		machine.rows = append(machine.rows, []string{f.name, f.value})
	}
	var b bytes.Buffer
	for _, t := range append([]table{machine, r.budgets}, r.details...) {
		t.print(&b)
	}
	if _, err := out.Write(b.Bytes()); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

func (t table) print(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n### %s\n\n", t.title)
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
	for _, row := range t.rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}

// field returns the value of the first line "name : value" of a file of /proc.
func field(file, name string) string {
	text, err := os.ReadFile(file) //nolint:gosec // of /proc
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func memory() string {
	kib, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"))
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
}

// kernel is its version without what the builder of a kernel adds.
func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	return "Linux " + version
}

// load is the load average of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
