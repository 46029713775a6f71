package broker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-731df569/stash/broker/protocol"
)

const (
	// shortLine is what every stream has room for; all but some results are shorter.
	shortLine = 4 << 10
	// firstRoom is taken for a longer line, then twice as much, and so on.
	firstRoom = 64 << 10
	// An agent says little more than a line a second; lineBurst come at once after a reconnect.
	lineBurst    = 100
	linePerAgent = 100 * time.Millisecond
)

// lineReader reads lines of bounded length at a bounded pace. Room for long ones is shared by all
// streams, so that many agents cannot fill the memory, whatever they say.
type lineReader struct {
	r     *bufio.Reader
	limit int
	room  *semaphore.Weighted
	wait  time.Duration

	// saved is when as many lines as lineBurst are allowed again.
	saved time.Time
}

func newLineReader(body io.Reader, limit int, room *semaphore.Weighted) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(body, shortLine), limit: limit, room: room, wait: protocol.HeartbeatInterval}
}

// next returns a line, which is good until the following call, and what gives its room back.
func (l *lineReader) next(ctx context.Context) (line []byte, free func(), err error) {
	if err := l.pace(ctx); err != nil {
		return nil, nil, err
	}
	line, err = l.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return l.long(ctx, line)
	case err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)):
		return nil, nil, err //nolint:wrapcheck // the caller says what was read
	}
	return bytes.TrimSpace(line), func() {}, nil
}

// long reads the rest of a line into room of its own.
func (l *lineReader) long(ctx context.Context, start []byte) (line []byte, free func(), err error) {
	taken := int64(0)
	release := func() { l.room.Release(taken) }
	defer func() {
		if err != nil {
			release()
		}
	}()
	for part := start; ; {
		if len(line)+len(part) >= l.limit {
			return nil, nil, errTooLong
		}
		for int64(len(line)+len(part)) > taken {
			more := max(taken, firstRoom)
			if err := l.take(ctx, more); err != nil {
				return nil, nil, err
			}
			taken += more
			line = append(make([]byte, 0, taken), line...)
		}
		line = append(line, part...)
		if line[len(line)-1] == '\n' {
			return bytes.TrimSpace(line), release, nil
		}
		if part, err = l.r.ReadSlice('\n'); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, nil, err //nolint:wrapcheck // the caller says what was read
		}
	}
}

func (l *lineReader) take(ctx context.Context, room int64) error {
	limited, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	if err := l.room.Acquire(limited, room); err != nil {
		return fmt.Errorf("%w: %w", errCrowded, err)
	}
	return nil
}

// pace makes who says more than agents do wait.
func (l *lineReader) pace(ctx context.Context) error {
	now := time.Now()
	if l.saved.Before(now) {
		l.saved = now
	}
	l.saved = l.saved.Add(linePerAgent)
	early := l.saved.Sub(now) - lineBurst*linePerAgent
	if early <= 0 {
		return nil
	}
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // it is the stream's
	case <-timer.C:
		return nil
	}
}
