package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/seed-731df569/stash/restic"
)

// Defaults of Runner.
const (
	// DefaultGrace is how long restic may take to remove its lock after an interrupt.
	DefaultGrace = 20 * time.Second
	// MetadataLimit is for commands that move no data, such as cat config.
	MetadataLimit = 30 * time.Second
	// maxOutput bounds what is kept of an output that nobody reads as it comes.
	maxOutput = 64 << 20
)

// Runner runs restic. The zero value runs "restic" from PATH with its scratch space in the working
// directory and without a cache.
type Runner struct {
	// Binary is the program. Default: restic.
	Binary string
	// WorkDir holds temporary files, HOME and the CA file; it must exist and be writable.
	WorkDir string
	// CacheDir is restic's cache. Default: none is used.
	CacheDir string
	// Nice is the CPU priority, as of nice(1); nil: unchanged.
	Nice *int
	// IOClass and IOLevel are the I/O priority, as of ionice(1); class 0: unchanged.
	IOClass int
	IOLevel int
	// Grace is the time between interrupt and kill. Default: DefaultGrace.
	Grace time.Duration
	// Inherit are names of variables of our own environment that restic gets too, such as those
	// of a proxy.
	Inherit []string
	// Log is told about what is odd and no error. Default: nothing is logged.
	Log *slog.Logger
}

// Command is one run.
type Command struct {
	// Repository that it works on.
	Repository restic.Repository
	// Args begin with the sub-command.
	Args []string
	// Line is called with each line of the output, as it comes. Lines longer than 1 MiB are cut.
	Line func(line []byte)
	// Read reads the output as it comes, instead of Line. Its error is Run's unless restic
	// itself failed. Where both are nil the output is in Result.
	Read func(r io.Reader) error
	// Input writes what restic reads from its stdin, until it is done or ctx ends. Only after it has
	// returned nil is restic told that its input is complete. Where it fails, restic is interrupted while
	// it still waits for more, and the error is Run's. That restic has ended shows as an error of w.
	Input func(ctx context.Context, w io.Writer) error
	// Limit ends a run that is retrying; 0: none. The cause of restic's last retry is the error. A
	// run that has not failed on the backend gets twice that time, since it may be waiting for its
	// share of the CPU to derive the key; one whose backend says a clear no ends early.
	Limit time.Duration
	// OpenLimit is Limit for a run that moves data: it holds until the first line of the output and
	// ends only a run that is retrying; 0: none.
	OpenLimit time.Duration
	// RetryLock is how long restic waits for a lock; 0: not at all.
	RetryLock time.Duration
}

// Result is what is left of a run besides what was streamed.
type Result struct {
	// Output is stdout, at most 64 MiB; empty where it was streamed.
	Output []byte
	// Stderr is what restic complained about, without secrets.
	Stderr *restic.Stderr
	// Code is the exit code; -1 where it was killed.
	Code int
}

// Run runs restic to its end. An exit code other than 0 is a *restic.Error, also 3 (ErrIncomplete):
// the Result is valid with every error. If ctx ends, restic is interrupted and the error's reason
// is DeadlineExceeded or Canceled.
func (r Runner) Run(ctx context.Context, c Command) (Result, error) {
	result := Result{Stderr: &restic.Stderr{}, Code: -1}
	if err := ctx.Err(); err != nil {
		return result, r.failure(ctx, c, &result)
	}
	caller := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := newLimit(c, cancel)
	defer watch.stop()
	global, cleanup, err := r.globalArgs(c)
	if err != nil {
		return result, err
	}
	defer cleanup()

	feed, err := newFeed(c.Input, cancel)
	if err != nil {
		return result, err
	}
	defer feed.close()
	name, prefix := r.program()
	cmd := exec.Command(name, append(append(prefix, global...), c.Args...)...) //nolint:gosec,noctx // the context is watched by wait
	cmd.Dir = r.WorkDir
	cmd.Env = r.environment(c.Repository)
	isolate(cmd)

	secrets := scrubber(c.Repository)
	stderr := &lineWriter{line: func(line []byte) {
		result.Stderr.Line([]byte(secrets.Replace(string(line))))
		watch.heard(result.Stderr)
	}}
	output := &bytes.Buffer{}
	runErr := r.wait(ctx, cmd, stderr, consumer(c, output, watch.opened), feed)
	result.Output = output.Bytes()
	result.Code = exitCode(cmd)
	if result.Code == restic.ExitOK && !feed.complete() {
		return result, errUnread
	}
	if result.Code == restic.ExitOK && runErr == nil {
		return result, nil
	}
	if result.Code == restic.ExitOK && ctx.Err() == nil {
		return result, fmt.Errorf("read output of restic %s: %w", subCommand(c), runErr)
	}
	if cmd.Process == nil {
		return result, &restic.Error{Command: subCommand(c), Code: -1, Reason: restic.ReasonOther, Message: secrets.Replace(runErr.Error())}
	}
	// Interrupted in its search for a key, restic says that none fits.
	if code := result.Code; code == restic.ExitWrongPassword && (caller.Err() != nil || errors.Is(context.Cause(ctx), errLimit)) {
		result.Code = restic.ExitInterrupted
	}
	err = r.failure(ctx, c, &result)
	var e *restic.Error
	if errors.As(err, &e) && e.Message == "" {
		e.Message = cmd.ProcessState.String() // killed, perhaps for want of memory
	}
	return result, err
}

// failure makes the error of a run that did not succeed.
func (r Runner) failure(ctx context.Context, c Command, result *Result) error {
	e := &restic.Error{Command: subCommand(c), Code: result.Code, Message: result.Stderr.Message()}
	cause := context.Cause(ctx)
	if input, ok := errors.AsType[inputError](cause); ok {
		return input.err
	}
	switch {
	case cause == nil || result.Code == restic.ExitNoRepository || result.Code == restic.ExitWrongPassword:
		e.Reason = restic.Classify(result.Code, e.Message)
		if result.Stderr.ItemCount > 0 && result.Code == restic.ExitFailed {
			// "permission denied" about a file says nothing about the backend.
			e.Reason = restic.Classify(result.Code, result.Stderr.LastRetry)
		}
	case errors.Is(cause, errGivenUp):
		e.Reason = restic.Classify(restic.ExitFailed, result.Stderr.LastRetry)
	case errors.Is(cause, errLimit):
		e.Reason = restic.Classify(restic.ExitFailed, result.Stderr.LastRetry)
		if e.Reason == restic.ReasonOther {
			e.Reason = restic.ReasonUnreachable
		}
		e.Message = orElse(result.Stderr.LastRetry, fmt.Sprintf("no answer from the backend in %s", 2*c.Limit))
	case errors.Is(cause, context.DeadlineExceeded):
		e.Reason = restic.ReasonDeadline
		e.Message = "stopped at the deadline" + because(result.Stderr.LastRetry)
	default:
		e.Reason = restic.ReasonCanceled
		e.Message = "canceled" + because(result.Stderr.LastRetry)
	}
	return e
}

func because(text string) string {
	if text == "" {
		return ""
	}
	return "; before that: " + text
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func subCommand(c Command) string {
	if len(c.Args) == 0 {
		return ""
	}
	return c.Args[0]
}

// globalArgs are the options before the sub-command. cleanup removes the CA file.
func (r Runner) globalArgs(c Command) (args []string, cleanup func(), err error) {
	cleanup = func() {}
	if r.CacheDir == "" {
		args = append(args, "--no-cache")
	} else {
		args = append(args, "--cache-dir="+r.CacheDir, "--cleanup-cache")
	}
	if c.Repository.InsecureTLS {
		args = append(args, "--insecure-tls")
	}
	for _, option := range c.Repository.Options {
		args = append(args, "--option="+option)
	}
	if c.RetryLock > 0 {
		args = append(args, "--retry-lock="+c.RetryLock.String())
	}
	if len(c.Repository.CACert) == 0 {
		return args, cleanup, nil
	}
	f, err := os.CreateTemp(r.WorkDir, "ca-*.pem") // 0600
	if err != nil {
		return nil, cleanup, fmt.Errorf("write CA file: %w", err)
	}
	cleanup = func() { _ = os.Remove(f.Name()) }
	_, err = f.Write(c.Repository.CACert)
	if err = errors.Join(err, f.Close()); err != nil {
		cleanup()
		return nil, func() {}, fmt.Errorf("write CA file: %w", err)
	}
	path, err := filepath.Abs(f.Name())
	if err != nil {
		cleanup()
		return nil, func() {}, fmt.Errorf("find CA file: %w", err)
	}
	return append(args, "--cacert="+path), cleanup, nil
}

// program returns what to start and its first arguments: restic, or nice or ionice before it, which
// become restic by exec, so that the process is still restic's.
func (r Runner) program() (name string, args []string) {
	words := append(r.Priority(), orElse(r.Binary, "restic"))
	return words[0], words[1:]
}

// Priority is what is put before a program for it to run with the same priorities as restic. Programs
// that are absent are left out: a backup at the wrong priority is better than none.
func (r Runner) Priority() []string {
	var words []string
	if r.Nice != nil {
		words = r.prefix(words, "nice", "-n", strconv.Itoa(*r.Nice))
	}
	if r.IOClass > 0 {
		flags := []string{"-c", strconv.Itoa(r.IOClass)}
		if r.IOClass != 3 { // idle has no levels
			flags = append(flags, "-n", strconv.Itoa(r.IOLevel))
		}
		words = r.prefix(words, "ionice", flags...)
	}
	return words
}

func (r Runner) prefix(words []string, name string, flags ...string) []string {
	if _, err := exec.LookPath(name); err != nil {
		if r.Log != nil {
			r.Log.Warn("priority is not set: the program is not in the image", "program", name)
		}
		return words
	}
	return append(append(words, name), flags...)
}
