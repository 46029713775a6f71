package broker

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

// flusher is a ResponseWriter as a stream needs it.
type flusher struct{ *httptest.ResponseRecorder }

func (flusher) SetWriteDeadline(time.Time) error { return nil }

// nobody knows everybody, and has no work.
type nobody struct {
	inside, most atomic.Int64
	slow         chan struct{}
}

func (n *nobody) Identify(ctx context.Context, token string, role protocol.Role) (Identity, error) {
	n.most.Store(max(n.most.Load(), n.inside.Add(1)))
	defer n.inside.Add(-1)
	if n.slow != nil {
		select {
		case <-n.slow:
		case <-ctx.Done():
			return Identity{}, ctx.Err()
		}
	}
	return Identity{Namespace: "demo", Pod: token, PodUID: token, Role: role}, nil
}

func (*nobody) Orphans(context.Context, Identity, []string) ([]string, error) { return nil, nil }

func (*nobody) Orders(context.Context, Identity, func(string) bool) (Orders, error) {
	return Orders{}, nil
}
func (*nobody) Accepted(context.Context, Identity, string) error            { return nil }
func (*nobody) Progress(context.Context, Identity, protocol.Progress) error { return nil }
func (*nobody) Result(context.Context, Identity, protocol.Result) error     { return nil }
func (*nobody) Alive(context.Context, Identity, []string) error             { return nil }

// tally counts refusals.
type tally struct {
	mu   sync.Mutex
	seen map[Refusal]int
}

func (t *tally) count(r Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = map[Refusal]int{}
	}
	t.seen[r]++
}

func (t *tally) of(r Refusal) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[r]
}

func newServer(n *nobody) (*Server, *tally) {
	seen := &tally{}
	return &Server{Identify: n, Work: n, Results: n, Log: slog.New(slog.DiscardHandler), Refused: seen.count}, seen
}

// open opens a stream of the pod that the token names.
func open(t *testing.T, s *Server, address, token string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, protocol.Path, body)
	r.ProtoMajor, r.RemoteAddr = 2, address
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set(protocol.RoleHeader, string(protocol.RoleSidecar))
	w := httptest.NewRecorder()
	s.ServeHTTP(flusher{w}, r)
	return w
}

func TestStreamsThatSayNothingOrNonsenseEnd(t *testing.T) {
	const hello = `{"hello":{"version":1}}` + "\n"
	for name, c := range map[string]struct {
		says string
		goes bool // the agent hangs up afterwards
		want Refusal
		took time.Duration
	}{
		"no word":                    {"", false, EndedSilent, protocol.HeartbeatInterval},
		"half a greeting":            {hello[:10], false, EndedSilent, protocol.HeartbeatInterval},
		"a greeting and nothing":     {hello, false, EndedSilent, 3 * protocol.HeartbeatInterval},
		"a line that is never ended": {hello + `{"alive":`, false, EndedSilent, 3 * protocol.HeartbeatInterval},
		"another version":            {`{"hello":{"version":99}}` + "\n", false, EndedVersion, 0},
		"too many tasks":             {`{"hello":{"version":1,"running":["` + strings.Repeat(`","`, 1000) + `"]}}` + "\n", false, EndedNonsense, 0},
		"no greeting":                {`{"alive":true}` + "\n", false, EndedNonsense, 0},
		"no JSON":                    {hello + "hello\n", false, EndedNonsense, 0},
		"a line that is too long":    {hello + strings.Repeat("x", protocol.MaxLine+1), false, EndedTooLong, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, seen := newServer(&nobody{})
				body, out := io.Pipe()
				go func() { _, _ = out.Write([]byte(c.says)) }() // the broker may hang up in the middle
				start := time.Now()
				open(t, s, "10.0.0.1:1", "pod", body)
				if took := time.Since(start); took != c.took || seen.of(c.want) != 1 {
					t.Errorf("after %s: %v, want %s after %s", took, seen.seen, c.want, c.took)
				}
				if s.Streams() != 0 || len(s.streams) != 0 {
					t.Error("the stream is still known")
				}
			})
		})
	}
}

func TestIdentitiesAreProvenByTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nobody{slow: make(chan struct{})}
		s, seen := newServer(n)
		var wg sync.WaitGroup
		flood := func(address string, count int) {
			for range count {
				wg.Go(func() { open(t, s, address, "pod", strings.NewReader("")) })
			}
			synctest.Wait()
		}
		flood("10.0.0.1:1", 500)
		if got := n.inside.Load(); got != identifyPerAddress {
			t.Errorf("%d of one address are identified at the same time", got)
		}
		for _, address := range []string{"10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1", "10.0.0.5:1"} {
			flood(address, 100)
		}
		if got := n.inside.Load(); got != identifyAtOnce {
			t.Errorf("%d are identified at the same time", got)
		}
		time.Sleep(11 * time.Second)
		wg.Wait()
		if busy, down := seen.of(RefusedBusy), seen.of(RefusedUnavailable); busy+down != 900 || busy < 450 {
			t.Errorf("%d were told to come again, %d waited for the API server", busy, down)
		}
		if n.most.Load() != identifyAtOnce {
			t.Errorf("%d at the same time", n.most.Load())
		}
		// It does not last.
		close(n.slow)
		flood("10.0.0.1:1", 100)
		wg.Wait()
		if got := seen.of(RefusedBusy) + seen.of(RefusedUnavailable); got != 900 {
			t.Errorf("%d more were refused", got-900)
		}
	})
}

func TestAPodHasOneStreamHoweverOftenItConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(&nobody{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		before := runtime.NumGoroutine()
		for range 200 {
			wg.Go(func() {
				body, out := io.Pipe()
				go func() {
					_, _ = out.Write([]byte(`{"hello":{"version":1}}` + "\n"))
					<-ctx.Done()
					_ = out.Close()
				}()
				open(t, s, "10.0.0.1:1", "pod", body)
			})
			synctest.Wait()
		}
		if s.Streams() != 1 || len(s.streams) != 1 {
			t.Errorf("%d streams are open, %d known", s.Streams(), len(s.streams))
		}
		// One writer for each of the test's own pipes.
		if more := runtime.NumGoroutine() - before; more > 200+10 {
			t.Errorf("%d goroutines more", more)
		}
		cancel()
		wg.Wait()
	})
}

func TestStrangersWriteNothingToTheLog(t *testing.T) {
	var log strings.Builder
	s := &Server{Identify: denier{}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, protocol.Path, http.NoBody)
	r.ProtoMajor = 2
	r.Header.Set("Authorization", "Bearer secret-token")
	r.Header.Set(protocol.RoleHeader, "admin\" level=ERROR msg=forged")
	s.ServeHTTP(httptest.NewRecorder(), r)
	if out := log.String(); strings.Contains(out, "forged") || strings.Contains(out, "secret") || !strings.Contains(out, "role=unknown") {
		t.Error(out)
	}
	r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", maxToken+1))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("a token without end: %d", w.Code)
	}
}

type denier struct{}

func (denier) Identify(context.Context, string, protocol.Role) (Identity, error) {
	return Identity{}, ErrDenied
}
