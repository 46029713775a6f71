package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// isolate puts the process into a group of its own: signals of a terminal do not reach it, and the
// whole group can be killed.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// wait starts the process, feeds it, reads both outputs to their ends and waits for it. When ctx ends it
// interrupts the process and kills its group after the grace period. It returns when the process
// is gone and reaped.
func (r Runner) wait(ctx context.Context, cmd *exec.Cmd, stderr io.Writer, read func(io.Reader) error, input *feed) error {
	outPipe, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	errPipe, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	input.attach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start restic: %w", err)
	}
	input.start(ctx)
	var readers sync.WaitGroup
	var readErr error
	readers.Go(func() {
		readErr = read(outPipe)
		drain(outPipe)
	})
	readers.Go(func() {
		_, _ = io.Copy(stderr, errPipe)
		if w, ok := stderr.(*lineWriter); ok {
			w.flush()
		}
	})
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { r.stop(ctx, cmd.Process, done) })

	readers.Wait()
	err = cmd.Wait()
	close(done)
	input.end()
	watcher.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("wait for restic: %w", err)
	}
	return readErr
}

// stop waits for the end of ctx or of the process.
func (r Runner) stop(ctx context.Context, process *os.Process, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	_ = process.Signal(os.Interrupt)
	grace := r.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		_ = syscall.Kill(-process.Pid, syscall.SIGKILL)
		<-done
	}
}

func exitCode(cmd *exec.Cmd) int {
	if cmd.ProcessState == nil {
		return -1
	}
	return cmd.ProcessState.ExitCode()
}
