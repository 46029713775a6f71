package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

// job is the work on one task.
type job struct {
	task    protocol.Task
	runner  exec.Runner
	timings Timings
	// toolPath is Config's.
	toolPath string
	log      *slog.Logger
	report   func(protocol.Progress)
	last     time.Time // of the last report
}

// failure is an error with the reason that the broker is told.
type failure struct {
	reason protocol.Reason
	err    error
}

// Error says what happened.
func (f failure) Error() string { return f.err.Error() }

// Unwrap returns what happened.
func (f failure) Unwrap() error { return f.err }

func failed(reason protocol.Reason, format string, args ...any) error {
	return failure{reason: reason, err: fmt.Errorf(format, args...)}
}

func reasonOf(err error) protocol.Reason {
	if f, ok := errors.AsType[failure](err); ok {
		return f.reason
	}
	return restic.ReasonOf(err)
}

// do works on a task to its end.
func (a *agent) do(ctx context.Context, task protocol.Task) protocol.Result {
	result := protocol.Result{ID: task.ID, Started: time.Now().UTC()}
	j, err := a.job(task)
	if err == nil {
		err = j.run(ctx, &result)
	}
	result.Finished = time.Now().UTC()
	result.Duration = result.Finished.Sub(result.Started)
	if err != nil {
		result.Error, result.Reason = err.Error(), reasonOf(err)
		// Whoever stopped it knows why better than restic does.
		if cause := context.Cause(ctx); result.Reason == protocol.ReasonCanceled && cause != nil {
			result.Error = cause.Error() + ": " + result.Error
		}
	} else if task.Restore != nil {
		a.recordRestored()
	}
	return result
}

func (a *agent) job(task protocol.Task) (*job, error) {
	scratch, err := a.dir("scratch")
	if err != nil {
		return nil, err
	}
	j := &job{task: task, timings: a.Timings, toolPath: a.ToolPath, log: a.Log.With("task", task.ID), report: a.outbox.report}
	j.runner = exec.Runner{
		Binary: a.ResticBinary, WorkDir: scratch, Nice: task.Nice, Grace: a.Timings.Grace,
		Inherit: inherited(task.Repository), Log: j.log,
	}
	if task.IONice != nil {
		j.runner.IOClass, j.runner.IOLevel = task.IONice.Class, task.IONice.Level
	}
	if !task.Cache.Disabled {
		if j.runner.CacheDir, err = a.dir("cache"); err != nil {
			return nil, err
		}
	}
	return j, nil
}

func (j *job) run(ctx context.Context, result *protocol.Result) error {
	if dir := j.runner.CacheDir; dir != "" && j.task.Cache.LimitBytes > 0 {
		guard := guardCache(dir, j.task.Cache.LimitBytes, j.log)
		defer guard()
	}
	switch {
	case j.task.Backup != nil:
		return j.backup(ctx, *j.task.Backup, result)
	case j.task.Restore != nil:
		return j.restore(ctx, *j.task.Restore, result)
	case j.task.Dump != nil:
		return j.dump(ctx, *j.task.Dump, result)
	case j.task.Load != nil:
		return j.load(ctx, *j.task.Load, result)
	case j.task.Maintain != nil:
		result.Maintained = &protocol.Maintained{}
		return j.maintain(ctx, *j.task.Maintain, result.Maintained)
	}
	return failed(protocol.ReasonOther, "read task: it has no work that this agent knows")
}

// inherited are the variables of the container that restic gets: how a user tunes it, the proxy, and,
// where the Secret holds no key, the pod's own identity. The Repository's own variables win.
func inherited(r restic.Repository) []string {
	names := slices.Concat(restic.TuningEnv(), restic.ProxyEnv())
	if r.Env["AWS_ACCESS_KEY_ID"] == "" {
		names = append(names, restic.IdentityEnv()...)
	}
	return names
}

// config reads the repository's config: place, keys and password are right if that works, and if
// not it is known within the limit for metadata.
func (j *job) config(ctx context.Context) (restic.Config, error) {
	return j.configOf(ctx, j.task.Repository, j.timings.Metadata)
}

func (j *job) configOf(ctx context.Context, r restic.Repository, limit time.Duration) (restic.Config, error) {
	out, err := j.runner.Run(ctx, exec.Command{Repository: r, Args: restic.CatConfig{}.Args(), Limit: limit})
	if err != nil {
		return restic.Config{}, fmt.Errorf("open repository: %w", err)
	}
	return restic.ReadConfig(bytes.NewReader(out.Output))
}

// output runs a command that changes nothing and returns what it says.
func (j *job) output(ctx context.Context, args []string) (*bytes.Reader, error) {
	out, err := j.runner.Run(ctx, exec.Command{Repository: j.task.Repository, Args: args})
	return bytes.NewReader(out.Output), err
}

// progress reports, not more often than is useful.
func (j *job) progress(p protocol.Progress) {
	now := time.Now()
	if now.Sub(j.last) < j.timings.Progress {
		return
	}
	j.last = now
	p.ID = j.task.ID
	j.report(p)
}

// checkPath refuses paths that restic or we would take for something else.
func checkPath(path string) error {
	if !filepath.IsAbs(path) {
		return failed(protocol.ReasonPathMissing, "path %q is not absolute", path)
	}
	return nil
}
