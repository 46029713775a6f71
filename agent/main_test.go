package agent_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-731df569/stash/agent"
	"github.com/seed-731df569/stash/broker/protocol"
)

func TestMain(m *testing.M) {
	if os.Getenv(envChild) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// started is an agent that runs.
type started struct {
	t      *testing.T
	config agent.Config
	stop   context.CancelFunc
	over   chan error
	log    *syncBuffer
}

// configure returns the configuration of an agent of that broker, with short times.
func configure(t *testing.T, b *fakeBroker, role protocol.Role) agent.Config {
	t.Helper()
	token, ca := b.files()
	return agent.Config{
		Role: role, BrokerAddress: b.address(), TokenFile: token, CAFile: ca, WorkDir: t.TempDir(),
		ResticBinary: os.Getenv(envRestic), Build: "test",
		Timings: agent.Timings{
			BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond, Progress: time.Millisecond,
			Grace: 10 * time.Second,
		},
	}
}

// start runs an agent; the test's end stops it.
func start(t *testing.T, c agent.Config) *started {
	t.Helper()
	s := &started{t: t, config: c, over: make(chan error, 1), log: &syncBuffer{}}
	s.config.Log = slog.New(slog.NewTextHandler(s.log, nil))
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.over <- agent.Run(ctx, s.config) }()
	t.Cleanup(func() {
		stop()
		_ = s.ended()
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	return s
}

// ended waits for the end and returns Run's error.
func (s *started) ended() error {
	s.t.Helper()
	select {
	case err := <-s.over:
		s.over <- err // for whoever asks again
		return err
	case <-time.After(patience):
		s.t.Fatal("the agent does not end")
		return nil
	}
}

// syncBuffer is a buffer that a test reads while an agent logs.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
