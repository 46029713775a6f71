package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
)

// errUnread is a run that succeeded without all of its input, which must not be.
var errUnread = errors.New("restic ended with success before its input was complete")

// inputError is the cause of a run whose input could not be written.
type inputError struct{ err error }

// Error says why.
func (e inputError) Error() string { return e.err.Error() }

// Unwrap returns why.
func (e inputError) Unwrap() error { return e.err }

// feed writes restic's stdin. restic takes the end of its input for the end of the data, and keeps what
// it has as a snapshot: so the end must be there when the data is complete and at no other time, also not
// when this process is killed, which closes all that it has open. A pipe cannot tell the two apart. The
// input is one of two connected sockets, and something that nobody has read lies in the other: the kernel
// makes the end of such a connection an error for restic. It is read, and the end is one, only when the
// data is complete.
type feed struct {
	write  func(context.Context, *feed) error
	cancel context.CancelCauseFunc
	// ours is written to, theirs is restic's stdin.
	ours, theirs *os.File
	stop         context.CancelFunc
	running      sync.WaitGroup
	// broken tells that restic has closed its end, or is gone.
	broken atomic.Bool
	// done tells that restic was told the end.
	done bool
}

// newFeed returns nil where there is no input. cancel stops the run with a cause.
func newFeed(input func(context.Context, io.Writer) error, cancel context.CancelCauseFunc) (*feed, error) {
	if input == nil {
		return nil, nil
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open sockets: %w", err)
	}
	f := &feed{
		cancel: cancel, ours: os.NewFile(uintptr(fds[0]), "feed"), theirs: os.NewFile(uintptr(fds[1]), "stdin"),
		write: func(ctx context.Context, f *feed) error { return input(ctx, f) },
	}
	if _, err := f.theirs.Write([]byte{0}); err != nil {
		f.close()
		return nil, fmt.Errorf("write to socket: %w", err)
	}
	// What inherits it expects to wait for its input.
	if err := syscall.SetNonblock(fds[1], false); err != nil {
		f.close()
		return nil, fmt.Errorf("prepare socket: %w", err)
	}
	return f, nil
}

// Write hands bytes on to restic.
func (f *feed) Write(p []byte) (int, error) {
	n, err := f.ours.Write(p)
	if err != nil {
		f.broken.Store(true)
	}
	return n, err
}

func (f *feed) attach(cmd *exec.Cmd) {
	if f != nil {
		cmd.Stdin = f.theirs
	}
}

// start begins to write once the process has its end.
func (f *feed) start(ctx context.Context) {
	if f == nil {
		return
	}
	_ = f.theirs.Close()
	ctx, f.stop = context.WithCancel(ctx)
	f.running.Go(func() {
		err := f.write(ctx, f)
		if err == nil {
			err = ctx.Err()
		}
		switch {
		case err == nil:
			f.done = f.tell() == nil
		case !f.broken.Load(): // if it is, restic has a reason of its own
			f.cancel(inputError{err})
		}
	})
}

// tell makes the end of the connection the end of the data.
func (f *feed) tell() error {
	if _, err := f.ours.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("read from socket: %w", err)
	}
	return f.ours.Close()
}

// end is called when the process is gone.
func (f *feed) end() {
	if f != nil {
		f.broken.Store(true)
		f.stop()
		f.running.Wait()
	}
}

// complete tells whether there is no input, or restic has got all of it.
func (f *feed) complete() bool { return f == nil || f.done }

func (f *feed) close() {
	if f != nil {
		_ = f.ours.Close()
		_ = f.theirs.Close()
	}
}
