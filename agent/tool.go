package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed-731df569/stash/addons/database"
)

// Bounds of what a program of a database may say in an error, and how long it may keep its outputs open
// after it is gone.
const (
	maxSaidLines = 8
	maxSaidLine  = 400
	maxHeldLine  = 64 << 10
	outputDelay  = 5 * time.Second
)

// tool is a program of a database that runs or is about to. It has an environment made from nothing and a
// process group of its own, which ends as a whole.
type tool struct {
	name string
	argv []string
	env  []string
	dir  string
	mask *strings.Replacer

	cmd  *exec.Cmd
	said saidLines
}

// toolError is a program that did not end well.
type toolError struct {
	name string
	// code is -1 where it was killed or could not be started.
	code     int
	signaled bool
	// how it ended, and what it said last.
	how, said string
}

// Error says the program, how it ended, and what it said last.
func (e *toolError) Error() string {
	if e.said == "" {
		return e.name + ": " + e.how
	}
	return e.name + ": " + e.how + ": " + e.said
}

// run runs the program to its end.
func (t *tool) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	if err := t.prepare(ctx, stdout); err != nil {
		return err
	}
	t.cmd.Stdin = stdin
	if err := t.cmd.Start(); err != nil {
		return t.failure(err)
	}
	return t.wait()
}

// prepare makes the command. Its whole group is killed when ctx ends.
func (t *tool) prepare(ctx context.Context, stdout io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.cmd = exec.CommandContext(ctx, t.argv[0], t.argv[1:]...) //nolint:gosec // of addons/database, which has no shell
	t.cmd.Dir, t.cmd.Env = t.dir, t.env
	t.cmd.Stdout, t.cmd.Stderr = stdout, &t.said
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.cmd.Cancel = func() error { return syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL) }
	t.cmd.WaitDelay = outputDelay
	return nil
}

// wait waits for the end of the program, and of those that it has started.
func (t *tool) wait() error {
	err := t.cmd.Wait()
	// A child that outlives it must not write into what is complete.
	_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
	if err != nil {
		return t.failure(err)
	}
	return nil
}

// failure makes the error of a program that did not end well. No secret is in it.
func (t *tool) failure(err error) error {
	e := &toolError{name: t.name, code: -1, said: t.said.text(t.mask)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		e.code, e.how, e.signaled = exit.ExitCode(), exit.String(), exit.ExitCode() < 0
	case errors.Is(err, exec.ErrNotFound):
		e.how = "the program is not in the image"
	default:
		e.how, e.signaled = t.mask.Replace(err.Error()), t.cmd.ProcessState != nil
	}
	return e
}

// saidLines keeps the last lines of what a program says.
type saidLines struct {
	lines []string
	rest  []byte
}

// Write never fails: what a program says must not stop it.
func (s *saidLines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, more, whole := bytes.Cut(p, []byte("\n"))
		if room := maxHeldLine - len(s.rest); room > 0 {
			s.rest = append(s.rest, line[:min(room, len(line))]...)
		}
		if p = more; whole {
			s.end()
		}
	}
	return n, nil
}

func (s *saidLines) end() {
	if line := strings.TrimSpace(string(s.rest)); line != "" {
		if len(s.lines) == maxSaidLines {
			s.lines = slices.Delete(s.lines, 0, 1)
		}
		s.lines = append(s.lines, line)
	}
	s.rest = nil
}

// text is one line of all, without secrets: they are taken out before anything is cut.
func (s *saidLines) text(mask *strings.Replacer) string {
	s.end()
	out := make([]string, len(s.lines))
	for i, line := range s.lines {
		line = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(mask.Replace(line), "?"))
		out[i] = clipped(line, maxSaidLine)
	}
	return strings.Join(out, "; ")
}

func clipped(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// minMasked is the length from which a secret is taken out of texts, as for restic's.
const minMasked = 4

// mask takes secrets out of texts, the longest first.
func mask(secrets []string) *strings.Replacer {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < minMasked })
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(secrets))
	for _, s := range secrets {
		pairs = append(pairs, s, "***")
		if trimmed := strings.TrimSpace(s); trimmed != s && len(trimmed) >= minMasked {
			pairs = append(pairs, trimmed, "***")
		}
	}
	return strings.NewReplacer(pairs...)
}

// why says why nothing can be reached at the server's address; empty where something can.
func why(s database.Server) string {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), 5*time.Second)
	if err != nil {
		return fmt.Sprint(err)
	}
	_ = conn.Close()
	return ""
}
