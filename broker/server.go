package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

// Orders are what an agent is to do now.
type Orders struct {
	// Tasks that the agent does not have yet.
	Tasks []protocol.Task
	// Cancel are IDs of tasks that the agent shall stop.
	Cancel []string
	// Finish, Wait and Refuse are those of protocol.Down.
	Finish bool
	Wait   string
	Refuse string
}

// Work says what an agent is to do. It is asked again after every change that Notify tells of.
type Work interface {
	// Orders leaves out tasks that has reports true for; credentials are read for the others only.
	Orders(ctx context.Context, id Identity, has func(task string) bool) (Orders, error)
}

// Results takes what agents report. An error means that it is not stored: the agent repeats it.
type Results interface {
	Accepted(ctx context.Context, id Identity, task string) error
	Progress(ctx context.Context, id Identity, p protocol.Progress) error
	Result(ctx context.Context, id Identity, r protocol.Result) error
	// Alive is told, at most once a minute for each agent, which tasks it works on.
	Alive(ctx context.Context, id Identity, tasks []string) error
}

// Identifier proves who an agent is.
type Identifier interface {
	Identify(ctx context.Context, token string, role protocol.Role) (Identity, error)
}

// Server is the broker's HTTP handler.
type Server struct {
	Identify Identifier
	Work     Work
	Results  Results
	Log      *slog.Logger
	// MaxStreams limits the open streams; more are refused with 503. Default: 20000.
	MaxStreams int64
	// Recheck is how often orders are read without a notification. Default: 15 s.
	Recheck time.Duration

	open    atomic.Int64
	mu      sync.Mutex
	streams map[string]*stream // by pod UID and role
}

// Streams returns the number of open streams.
func (s *Server) Streams() int64 { return s.open.Load() }

// Notify makes the streams of a pod read their orders again.
func (s *Server) Notify(podUID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, role := range []protocol.Role{protocol.RoleSidecar, protocol.RoleInit, protocol.RoleWorker} {
		if st := s.streams[podUID+string(role)]; st != nil {
			st.poke()
		}
	}
}

// ServeHTTP serves one agent for as long as its stream is open.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != protocol.Path {
		http.NotFound(w, r)
		return
	}
	if r.ProtoMajor != 2 {
		http.Error(w, "HTTP/2 is required", http.StatusHTTPVersionNotSupported)
		return
	}
	limit := s.MaxStreams
	if limit == 0 {
		limit = 20000
	}
	if s.open.Add(1) > limit {
		s.open.Add(-1)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many agents on this replica", http.StatusServiceUnavailable)
		return
	}
	defer s.open.Add(-1)
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		http.Error(w, "a bearer token is required", http.StatusUnauthorized)
		return
	}
	role := protocol.Role(r.Header.Get(protocol.RoleHeader))
	id, err := s.Identify.Identify(r.Context(), token, role)
	if err != nil {
		s.Log.Info("refused an agent", "remote", hostOnly(r.RemoteAddr), "role", string(role), "err", err)
		if errors.Is(err, ErrDenied) {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.Error(w, "who this agent is cannot be proven now", http.StatusServiceUnavailable)
		return
	}
	s.serve(w, r, id)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, id Identity) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	st := newStream(s, id, w)
	key := id.PodUID + string(id.Role)
	s.mu.Lock()
	if s.streams == nil {
		s.streams = map[string]*stream{}
	}
	if old := s.streams[key]; old != nil {
		old.close() // the agent reconnected before we saw the old stream break
	}
	s.streams[key] = st
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.streams[key] == st {
			delete(s.streams, key)
		}
	}()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	// The agent waits for the answer before it says anything.
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	if err := st.run(ctx, r.Body); err != nil && !errors.Is(err, context.Canceled) {
		s.Log.Debug("stream ended", "pod", id.Namespace+"/"+id.Pod, "err", err)
	}
}

func hostOnly(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
