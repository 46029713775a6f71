package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/guard"
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
	// Orphans returns those of an agent's tasks whose session was deleted: they are stopped.
	Orphans(ctx context.Context, id Identity, tasks []string) ([]string, error)
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
	// Patience is how long an agent waits until its turn to be identified comes. Default: 10 s.
	Patience time.Duration
	// Refused is told of everybody who is refused, and of streams that are ended; may be nil.
	Refused func(Refusal)

	open    atomic.Int64
	once    sync.Once
	limits  *limits
	mu      sync.Mutex
	streams map[string]*stream // by pod UID and role
}

// Streams returns the number of open streams.
func (s *Server) Streams() int64 { return s.open.Load() }

// Notify makes the streams of a pod read their orders again.
func (s *Server) Notify(podUID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, role := range protocol.Roles() {
		if st := s.streams[podUID+string(role)]; st != nil {
			st.poke()
		}
	}
}

// ServeHTTP serves one agent for as long as its stream is open.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != protocol.Path {
		s.refuse(w, RefusedRequest, http.StatusNotFound, "404 page not found")
		return
	}
	if r.ProtoMajor != 2 {
		s.refuse(w, RefusedRequest, http.StatusHTTPVersionNotSupported, "HTTP/2 is required")
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || len(token) > maxToken {
		s.refuse(w, RefusedNoToken, http.StatusUnauthorized, "a bearer token is required")
		return
	}
	id, ok := s.identify(w, r, token)
	if !ok {
		return
	}
	// The connection is not a stranger's any more.
	defer guard.Proven(r.Context())()
	limit := s.MaxStreams
	if limit == 0 {
		limit = 20000
	}
	if s.open.Add(1) > limit {
		s.open.Add(-1)
		s.refuse(w, RefusedTooMany, http.StatusServiceUnavailable, "too many agents on this replica")
		return
	}
	defer s.open.Add(-1)
	s.serve(w, r, id)
}

// identify asks who an agent is, when its turn has come: the API server must not be asked more than it
// can answer, and one address not instead of all others.
func (s *Server) identify(w http.ResponseWriter, r *http.Request, token string) (Identity, bool) {
	patience := s.Patience
	if patience == 0 {
		patience = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	gate, address := s.shared().identifying, guard.AddressOf(r.RemoteAddr)
	err := gate.Enter(ctx, address)
	if err == nil {
		defer gate.Leave(address)
		err = ctx.Err()
	}
	if err != nil {
		s.refuse(w, RefusedBusy, http.StatusServiceUnavailable, "too many agents connect at the same time")
		return Identity{}, false
	}
	role := protocol.Role(r.Header.Get(protocol.RoleHeader))
	id, err := s.Identify.Identify(ctx, token, role)
	switch {
	case err == nil:
		return id, true
	case errors.Is(err, ErrDenied):
		s.refuse(w, RefusedDenied, http.StatusForbidden, err.Error())
	default:
		s.refuse(w, RefusedUnavailable, http.StatusServiceUnavailable, "who this agent is cannot be proven now")
	}
	s.Log.Info("refused an agent", "remote", hostOnly(r.RemoteAddr), "role", known(role), "err", err)
	return Identity{}, false
}

// known is a role for the log, which strangers must not write to as they like.
func known(r protocol.Role) string {
	if slices.Contains(protocol.Roles(), r) {
		return string(r)
	}
	return "unknown"
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
		s.ended(err)
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
