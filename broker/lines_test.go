package broker

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-731df569/stash/broker/protocol"
)

func TestLongLinesShareTheirRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := semaphore.NewWeighted(256 << 10)
		long := strings.Repeat("x", 100<<10) + "\nshort\n"
		first, second := newLineReader(strings.NewReader(long), protocol.MaxLine, room), newLineReader(strings.NewReader(long), protocol.MaxLine, room)
		line, free, err := first.next(t.Context())
		if err != nil || len(line) != 100<<10 {
			t.Fatalf("%d bytes, %v", len(line), err)
		}
		_, freeSecond, err := second.next(t.Context()) // 128 KiB each
		if err != nil {
			t.Fatal(err)
		}
		third := newLineReader(strings.NewReader(long), protocol.MaxLine, room)
		start := time.Now()
		if _, _, err := third.next(t.Context()); !errors.Is(err, errCrowded) || time.Since(start) != protocol.HeartbeatInterval {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		free()
		freeSecond()
		fourth := newLineReader(strings.NewReader(long), protocol.MaxLine, room)
		if _, free, err = fourth.next(t.Context()); err != nil {
			t.Fatal(err)
		}
		free()
		if line, _, err := fourth.next(t.Context()); err != nil || string(line) != "short" {
			t.Errorf("after a long line: %q, %v", line, err)
		}
		if !room.TryAcquire(256 << 10) {
			t.Error("room was not given back")
		}
	})
}

func TestLinesThatEndStreams(t *testing.T) {
	room := semaphore.NewWeighted(longLines)
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"as long as it may be":       {strings.Repeat("x", protocol.MaxLine-2) + "\n", nil},
		"longer":                     {strings.Repeat("x", protocol.MaxLine-1) + "\n", errTooLong},
		"one that never ends":        {strings.Repeat("x", 2*protocol.MaxLine), errTooLong},
		"a short one that is cut":    {"{}", nil},
		"a long one that is cut":     {strings.Repeat("x", 10<<10), io.EOF},
		"nothing":                    {"", io.EOF},
		"one that fills the buffer":  {strings.Repeat("x", shortLine-1) + "\n", nil},
		"one more than fits into it": {strings.Repeat("x", shortLine) + "\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			line, free, err := newLineReader(strings.NewReader(c.text), protocol.MaxLine, room).next(t.Context())
			if !errors.Is(err, c.want) || err == nil && string(line) != strings.TrimSpace(c.text) {
				t.Errorf("%d bytes, %v", len(line), err)
			}
			if err == nil {
				free()
			}
			if !room.TryAcquire(longLines) {
				t.Fatal("room was not given back")
			}
			room.Release(longLines)
		})
	}
}

func TestWhoSaysTooMuchIsHeardSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLineReader(strings.NewReader(strings.Repeat("{}\n", 1000)), protocol.MaxLine, semaphore.NewWeighted(1))
		start := time.Now()
		for range 1000 {
			if _, _, err := r.next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("a thousand lines took %s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := r.next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
