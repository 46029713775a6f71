package exec_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

func TestInput(t *testing.T) {
	errProducer := errors.New("the producer failed")
	for name, c := range map[string]struct {
		script string
		input  func(context.Context, io.Writer) error
		want   func(exec.Result, error) bool
	}{
		"all of it is read": {"cat; echo .", text("a", "b"), func(r exec.Result, err error) bool {
			return err == nil && string(r.Output) == "ab.\n"
		}},
		"the end is no end where it fails": {"cat; echo end", func(_ context.Context, w io.Writer) error {
			_, _ = io.WriteString(w, "a")
			return errProducer
		}, func(r exec.Result, err error) bool {
			return errors.Is(err, errProducer) && !strings.Contains(string(r.Output), "end")
		}},
		"a program that ends with success before it": {"exit 0", endless, func(_ exec.Result, err error) bool {
			return err != nil && strings.Contains(err.Error(), "before its input was complete")
		}},
		"a program that fails before it has a reason of its own": {"echo 'Fatal: wrong password or no key found' >&2; exit 12", endless, func(_ exec.Result, err error) bool {
			return restic.ReasonOf(err) == restic.ReasonWrongPassword
		}},
		"a program that ends while nothing is written": {"sleep 0.2; exit 1", func(ctx context.Context, _ io.Writer) error {
			<-ctx.Done()
			return ctx.Err()
		}, func(_ exec.Result, err error) bool { return restic.ReasonOf(err) == restic.ReasonOther }},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := script(t, c.script).Run(t.Context(), exec.Command{Repository: repository(), Args: []string{"backup"}, Input: c.input})
			if !c.want(result, err) {
				t.Errorf("output %q, error %v", result.Output, err)
			}
		})
	}
}

func text(pieces ...string) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		for _, p := range pieces {
			if _, err := io.WriteString(w, p); err != nil {
				return err
			}
		}
		return nil
	}
}

func endless(_ context.Context, w io.Writer) error {
	for {
		if _, err := w.Write(make([]byte, 1<<16)); err != nil {
			return err
		}
	}
}
