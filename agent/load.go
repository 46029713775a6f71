package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/seed-731df569/stash/addons/database"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

// errConsumer is the cause of a restic that is stopped since nobody reads what it writes.
var errConsumer = errors.New("the program that loads the dump has ended")

// load restores a database: what restic reads from the snapshot is what its program reads. The program
// takes the end of its input for the end of the dump, so it only gets there when restic has ended with
// success; where restic has not, the program is killed first.
func (j *job) load(ctx context.Context, l protocol.Load, result *protocol.Result) error {
	if l.ID == "" {
		return failed(protocol.ReasonNoSnapshot, "read task: it names no snapshot")
	}
	t, file, err := j.tools(l.Database, database.Addon.LoadPlan)
	if err != nil {
		return err
	}
	defer t.close()
	if _, err := j.config(ctx); err != nil {
		return err
	}
	node, err := j.node(ctx, l.ID, file)
	if err != nil {
		return err
	}
	if node.Type != restic.NodeFile {
		return failed(protocol.ReasonPathMissing, "%q is no file in the snapshot, and no dump", file)
	}
	if err := t.await(ctx); err != nil {
		return err
	}
	through := &counter{job: j, path: file, total: node.Size}
	err = t.consume(ctx, restic.Dump{ID: l.ID, Path: file}, through)
	result.Restored = &protocol.Restored{Bytes: through.bytes}
	if err != nil {
		return fmt.Errorf("load %s from snapshot %s: %w", t.server, short(l.ID), err)
	}
	result.Restored.Files = 1
	return nil
}

// consume runs restic and the program that loads; through counts what goes from one to the other.
func (t *tools) consume(ctx context.Context, dump restic.Dump, through *counter) error {
	loader := t.tool(t.plan.Commands[0])
	stdin, over, err := loader.start(ctx)
	if err != nil {
		return failed(protocol.ReasonLoadFailed, "%w", err)
	}
	through.w = stdin
	feeding, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var copied error
	_, err = t.job.runner.Run(feeding, exec.Command{
		Repository: t.job.task.Repository, Args: dump.Args(), RetryLock: t.job.timings.RetryLock,
		Read: func(r io.Reader) error {
			if copied = t.stream(through, r); copied != nil {
				stop(errConsumer)
			}
			return copied
		},
	})
	if err == nil && copied == nil {
		copied = t.tail(through)
	}
	switch {
	case gone(copied): // by itself
		defer time.AfterFunc(t.job.timings.Grace, loader.kill).Stop()
	case err != nil || copied != nil:
		loader.kill()
	}
	ended := over()
	return t.outcome(ctx, err, copied, ended)
}

// outcome is the first of what went wrong: a program that ended by itself, since restic only stops for
// it; a dump that must not be loaded; restic.
func (t *tools) outcome(ctx context.Context, run, copied, ended error) error {
	broken := gone(copied)
	switch {
	case ctx.Err() != nil && run != nil:
		return stopped(ctx, run)
	case ctx.Err() != nil && ended != nil:
		return stopped(ctx, ended)
	case broken && ended != nil, run == nil && copied == nil && ended != nil:
		return failed(protocol.ReasonLoadFailed, "%w", ended)
	case broken:
		return failed(protocol.ReasonLoadFailed, "%s ended before it had read the whole dump", t.plan.Commands[0].Argv[0])
	case copied != nil:
		return failed(protocol.ReasonLoadFailed, "%w", copied)
	}
	return run
}

// gone tells whether something could not be written since nobody reads it any more.
func gone(err error) bool { return errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) }

func (t *tools) stream(dst io.Writer, src io.Reader) error {
	if t.plan.Stream != nil {
		return t.plan.Stream.Copy(dst, src)
	}
	_, err := io.Copy(dst, src)
	return err
}

func (t *tools) tail(dst io.Writer) error {
	if t.plan.Stream == nil {
		return nil
	}
	_, err := dst.Write(t.plan.Stream.Tail())
	return err
}

// start starts a program that reads. over closes its stdin and returns how the program ended. It is
// killed when this process is: what it reads would end there.
func (t *tool) start(ctx context.Context) (stdin io.WriteCloser, over func() error, err error) {
	if err := t.prepare(ctx, io.Discard); err != nil {
		return nil, nil, err
	}
	t.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if stdin, err = t.cmd.StdinPipe(); err != nil {
		return nil, nil, fmt.Errorf("open pipe: %w", err)
	}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		// The signal is that of the end of the thread which starts the program.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := t.cmd.Start(); err != nil {
			started <- t.failure(err)
			return
		}
		started <- nil
		ended <- t.wait()
	}()
	if err := <-started; err != nil {
		return nil, nil, err
	}
	return stdin, func() error {
		_ = stdin.Close() // it may be closed already
		return <-ended
	}, nil
}

// kill ends the program and those that it has started.
func (t *tool) kill() { _ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL) }
