package agent_test

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// fakeBroker speaks the protocol and does what a test tells it.
type fakeBroker struct {
	t       *testing.T
	server  *httptest.Server
	streams chan *fakeStream

	mu sync.Mutex
	// status and text, if set, refuse streams.
	status int
	text   string
}

// fakeStream is one stream of one agent.
type fakeStream struct {
	t       *testing.T
	request *http.Request
	up      chan protocol.Up
	down    chan protocol.Down
	drop    chan struct{}
	once    sync.Once
	// hello is the first line.
	hello protocol.Hello
	// seen are the reports that next has skipped.
	seen []protocol.Progress
}

// newBroker starts a broker. Tests wait for restic most of the time, so they run side by side.
func newBroker(t *testing.T) *fakeBroker {
	t.Helper()
	t.Parallel()
	b := &fakeBroker{t: t, streams: make(chan *fakeStream, 100)}
	b.server = httptest.NewUnstartedServer(b)
	b.server.EnableHTTP2 = true
	b.server.StartTLS()
	t.Cleanup(b.server.Close)
	return b
}

func (b *fakeBroker) address() string { return strings.TrimPrefix(b.server.URL, "https://") }

func (b *fakeBroker) refuse(status int, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.text = status, text
}

func (b *fakeBroker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	status, text := b.status, b.text
	b.mu.Unlock()
	if status != 0 {
		http.Error(w, text, status)
		return
	}
	s := &fakeStream{t: b.t, request: r, up: make(chan protocol.Up, 10000), down: make(chan protocol.Down), drop: make(chan struct{})}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer close(s.up)
		lines := bufio.NewScanner(r.Body)
		lines.Buffer(nil, 1<<20)
		for first := true; lines.Scan(); first = false {
			var up protocol.Up
			if err := json.Unmarshal(lines.Bytes(), &up); err != nil {
				return
			}
			if first {
				if up.Hello == nil {
					return
				}
				s.hello = *up.Hello
				b.streams <- s
				continue
			}
			s.up <- up
		}
	}()
	encoder := json.NewEncoder(w)
	for {
		select {
		case <-s.drop:
			_ = r.Body.Close()
			<-gone
			return
		case <-gone:
			return
		case <-r.Context().Done():
			_ = r.Body.Close()
			<-gone
			return
		case d := <-s.down:
			_ = encoder.Encode(d)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// stream waits for an agent.
func (b *fakeBroker) stream() *fakeStream {
	b.t.Helper()
	select {
	case s := <-b.streams:
		return s
	case <-time.After(patience):
		b.t.Fatal("no agent connected")
		return nil
	}
}

// forget drops the streams that nobody has asked for.
func (b *fakeBroker) forget() {
	for len(b.streams) > 0 {
		<-b.streams
	}
}

func (s *fakeStream) say(d protocol.Down) {
	s.t.Helper()
	select {
	case s.down <- d:
	case <-time.After(patience):
		s.t.Fatal("the stream takes no line")
	}
}

func (s *fakeStream) close() { s.once.Do(func() { close(s.drop) }) }

// next returns the next line that is no sign of life, which are answered, and no progress, which is kept.
func (s *fakeStream) next() protocol.Up {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case up, open := <-s.up:
			switch {
			case !open:
				s.t.Fatal("the stream ended")
			case up.Alive:
				s.say(protocol.Down{Alive: true})
			case up.Progress != nil:
				s.seen = append(s.seen, *up.Progress)
			default:
				return up
			}
		case <-timeout:
			s.t.Fatal("the agent said nothing")
		}
	}
}

// accepted waits for the acceptance of a task.
func (s *fakeStream) accepted(id string) {
	s.t.Helper()
	if up := s.next(); up.Accept == nil || up.Accept.ID != id {
		s.t.Fatalf("the agent said %+v, want the acceptance of %q", up, id)
	}
}

// result waits for the result of a task, whatever else is said.
func (s *fakeStream) result(id string) protocol.Result {
	s.t.Helper()
	for {
		if up := s.next(); up.Result != nil && up.Result.ID == id {
			return *up.Result
		}
	}
}

// do sends a task and returns its result, acknowledged.
func (s *fakeStream) do(task protocol.Task) protocol.Result {
	s.t.Helper()
	s.say(protocol.Down{Task: &task})
	s.accepted(task.ID)
	r := s.result(task.ID)
	s.say(protocol.Down{Ack: task.ID})
	return r
}

// files writes token and CA as they are projected into a pod.
func (b *fakeBroker) files() (token, ca string) {
	b.t.Helper()
	dir := b.t.TempDir()
	token, ca = filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	write(b.t, token, "the-token\n")
	write(b.t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.server.Certificate().Raw})))
	return token, ca
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
