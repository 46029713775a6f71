package broker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
)

// operator is what stands behind the broker: it knows one agent, and what it is told to do.
type operator struct {
	mu       sync.Mutex
	orders   broker.Orders
	denied   error
	broken   error
	results  []string
	alive    []string
	accepted []string
	deleted  map[string]bool // tasks whose session is gone
	hosts    []string        // the hostnames of agents that asked for orders
}

func (o *operator) Identify(_ context.Context, token string, role protocol.Role) (broker.Identity, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.denied != nil {
		return broker.Identity{}, o.denied
	}
	return broker.Identity{Namespace: "demo", Pod: "app-x", PodUID: token, Role: role, Hostname: "app-x"}, nil
}

func (o *operator) Orders(_ context.Context, id broker.Identity, has func(string) bool) (broker.Orders, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hosts = append(o.hosts, id.Hostname)
	out := o.orders
	out.Tasks = nil
	for _, t := range o.orders.Tasks {
		if !has(t.ID) {
			out.Tasks = append(out.Tasks, t)
		}
	}
	return out, nil
}

func (o *operator) Orphans(_ context.Context, _ broker.Identity, tasks []string) ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(tasks, func(id string) bool { return !o.deleted[id] }), nil
}

func (o *operator) set(orders broker.Orders) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.orders = orders
}

func (o *operator) breaks(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = err
}

func (o *operator) note(list *[]string, id string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return o.broken
	}
	*list = append(*list, id)
	return nil
}

func (o *operator) Accepted(_ context.Context, _ broker.Identity, task string) error {
	return o.note(&o.accepted, task)
}

func (o *operator) Progress(context.Context, broker.Identity, protocol.Progress) error { return nil }

func (o *operator) Result(_ context.Context, _ broker.Identity, r protocol.Result) error {
	return o.note(&o.results, r.ID)
}

func (o *operator) Alive(_ context.Context, _ broker.Identity, tasks []string) error {
	return o.note(&o.alive, fmt.Sprint(tasks))
}

func (o *operator) seen(list *[]string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), *list...)
}

// serve starts a broker for the operator.
func serve(t *testing.T, o *operator, change func(*broker.Server)) (*broker.Server, *httptest.Server) {
	t.Helper()
	s := &broker.Server{Identify: o, Work: o, Results: o, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(s)
	}
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return s, server
}

// agent is the other end of a stream.
type agent struct {
	t     *testing.T
	out   *io.PipeWriter
	lines *bufio.Scanner
	close func()
}

// connect opens a stream and greets with the version.
func connect(t *testing.T, server *httptest.Server, version int, running ...string) *agent {
	t.Helper()
	return greet(t, server, protocol.Hello{Version: version, Running: running})
}

// greet opens a stream.
func greet(t *testing.T, server *httptest.Server, hello protocol.Hello) *agent {
	t.Helper()
	body, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+protocol.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer pod-1")
	request.Header.Set(protocol.RoleHeader, string(protocol.RoleSidecar))
	a := &agent{t: t, out: out}
	var writer sync.WaitGroup
	writer.Go(func() {
		// The first answer may need the first line.
		for _, up := range []protocol.Up{{Hello: &hello}, {Alive: true}} {
			if json.NewEncoder(out).Encode(up) != nil {
				return
			}
		}
	})
	response, err := server.Client().Do(request) //nolint:bodyclose // closed by close
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	writer.Wait() // what is said next comes after the greeting
	a.lines = bufio.NewScanner(response.Body)
	a.close = func() {
		cancel()
		_ = out.Close()
		_ = response.Body.Close()
		writer.Wait()
	}
	t.Cleanup(a.close)
	return a
}

func (a *agent) say(up protocol.Up) {
	a.t.Helper()
	if err := json.NewEncoder(a.out).Encode(up); err != nil {
		a.t.Fatalf("say: %v", err)
	}
}

// hear returns the next line that is not a sign of life; false when the stream has ended.
func (a *agent) hear() (protocol.Down, bool) {
	a.t.Helper()
	for a.lines.Scan() {
		var d protocol.Down
		if err := json.Unmarshal(a.lines.Bytes(), &d); err != nil {
			a.t.Fatalf("decode: %v", err)
		}
		if !d.Alive {
			return d, true
		}
	}
	return protocol.Down{}, false
}

// echo waits until the broker has dealt with all that was said.
func (a *agent) echo() {
	a.t.Helper()
	a.say(protocol.Up{Alive: true})
	for a.lines.Scan() {
		var d protocol.Down
		if json.Unmarshal(a.lines.Bytes(), &d) == nil && d.Alive {
			return
		}
	}
	a.t.Fatal("the stream ended")
}

var errDown = errors.New("the API server is down")

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

const soon = 20 * time.Millisecond
