package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/guard"
	"github.com/seed-731df569/stash/metrics"
)

// believer takes everybody for the pod that the token names.
type believer struct{}

func (believer) Identify(_ context.Context, token string, role protocol.Role) (broker.Identity, error) {
	if token == "stranger" {
		return broker.Identity{}, broker.ErrDenied
	}
	return broker.Identity{Namespace: "demo", Pod: token, PodUID: token, Role: role}, nil
}

func (believer) Orphans(context.Context, broker.Identity, []string) ([]string, error) {
	return nil, nil
}

func (believer) Orders(context.Context, broker.Identity, func(string) bool) (broker.Orders, error) {
	return broker.Orders{}, nil
}
func (believer) Accepted(context.Context, broker.Identity, string) error            { return nil }
func (believer) Progress(context.Context, broker.Identity, protocol.Progress) error { return nil }
func (believer) Result(context.Context, broker.Identity, protocol.Result) error     { return nil }
func (believer) Alive(context.Context, broker.Identity, []string) error             { return nil }

// site is a server of the operator that strangers come to.
type site struct {
	t       *testing.T
	address string
	roots   *x509.CertPool
	server  string
	mu      sync.Mutex
	closed  map[guard.Reason]int
	// drained is closed when the process is about to end.
	drained chan struct{}
	// stop has the server end.
	stop context.CancelFunc
}

func (s *site) count(r guard.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed[r]++
}

func (s *site) of(r guard.Reason) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed[r]
}

// guarded serves as the operator does, with other limits.
func guarded(t *testing.T, name string, h http.Handler, change func(*server)) *site {
	t.Helper()
	source := &certs.Source{}
	keeper := &certs.Keeper{Client: fake.NewClientBuilder().Build(), Namespace: "stash", Source: source, Names: certs.Names("stash", "stash-webhook", "stash-broker")}
	if err := keeper.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := &assembly{log: slog.New(slog.DiscardHandler), runtime: metrics.NewRuntime(func() int64 { return 0 }, metrics.Known{}), drained: make(chan struct{})}
	how := a.broking()
	if name == serverWebhook {
		how = a.admitting()
	}
	s := &site{t: t, address: freePort(t), drained: a.drained, server: "stash-" + name + ".stash.svc", roots: x509.NewCertPool(), closed: map[guard.Reason]int{}}
	bundle, _ := source.Bundle()
	s.roots.AppendCertsFromPEM(bundle)
	how.limits.Refused = s.count
	change(&how)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	ended := make(chan error, 1)
	go func() { ended <- how.serve(ctx, s.address, source, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = c.Close()
			return s
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// dial connects from an address of this machine.
func (s *site) dial(from string) net.Conn {
	s.t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}).Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// held counts the connections that the server has not closed.
func held(conns []net.Conn) (n int) {
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			n++
		}
	}
	return n
}

// client speaks to the server from an address; every request has a connection of its own.
func (s *site) client(from string) *http.Client {
	protocols := &http.Protocols{}
	protocols.SetHTTP2(s.server == "stash-broker.stash.svc")
	protocols.SetHTTP1(s.server != "stash-broker.stash.svc")
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots, ServerName: s.server, MinVersion: tls.VersionTLS13}, Protocols: protocols,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}).DialContext,
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// agent opens a stream, greets and returns when the broker has answered.
func (s *site) agent(from, token string) {
	s.t.Helper()
	body, out := io.Pipe()
	s.t.Cleanup(func() { _ = out.Close() })
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "https://"+s.address+protocol.Path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set(protocol.RoleHeader, string(protocol.RoleSidecar))
	go func() { _, _ = io.WriteString(out, `{"hello":{"version":1}}`+"\n"+`{"alive":true}`+"\n") }()
	response, err := s.client(from).Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("the agent is refused: %s", response.Status)
	}
	if line, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil || !strings.Contains(line, "alive") {
		s.t.Fatalf("%q, %v", line, err)
	}
}

func TestAgentsGetThroughAFloodOfConnections(t *testing.T) {
	b := &broker.Server{Identify: believer{}, Work: believer{}, Results: believer{}, Log: slog.New(slog.DiscardHandler)}
	s := guarded(t, serverBroker, b, func(how *server) {
		how.limits.Strangers, how.limits.PerAddress, how.limits.Grace = 40, 20, 2*time.Second
	})
	s.agent("127.0.0.9", "early")
	before := runtime.NumGoroutine()
	start := time.Now()
	var flood []net.Conn
	for range 100 {
		flood = append(flood, s.dial("127.0.0.2"), s.dial("127.0.0.3"))
	}
	for end := start.Add(patience); s.of(guard.ReasonAddress) < 160; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("closed %v", s.closed)
		}
	}
	if got := held(flood); got > 40 {
		t.Errorf("%d of the flood's connections are held", got)
	}
	if more := runtime.NumGoroutine() - before; more > 3*40 {
		t.Errorf("%d goroutines more", more)
	}
	// One that comes in the middle of it, and one that was there, are served.
	s.agent("127.0.0.4", "late")
	if b.Streams() != 2 {
		t.Errorf("%d streams", b.Streams())
	}
	// Nobody has said anything: the flood's connections do not last.
	for end := start.Add(patience); held(flood) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d are still held", held(flood))
		}
	}
	// Agents outlive the grace of strangers.
	if b.Streams() != 2 {
		t.Errorf("%d streams after the flood", b.Streams())
	}
}

func TestStrangersThatSpeakAreClosedToo(t *testing.T) {
	seen := make(chan broker.Refusal, 10)
	b := &broker.Server{Identify: believer{}, Work: believer{}, Results: believer{}, Log: slog.New(slog.DiscardHandler), Refused: func(r broker.Refusal) { seen <- r }}
	s := guarded(t, serverBroker, b, func(how *server) { how.limits.Grace = time.Second })
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address+protocol.Path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer stranger")
	response, err := s.client("127.0.0.1").Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden || <-seen != broker.RefusedDenied {
		t.Error(response.Status)
	}
	for end := time.Now().Add(patience); s.of(guard.ReasonUnproven) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("its connection is kept")
		}
	}
}

// Whoever asked before a replica ends is answered, and what the answer needs is not cut off.
func TestARequestUnderWayIsAnsweredWhenTheServerEnds(t *testing.T) {
	came := make(chan struct{})
	s := guarded(t, serverWebhook, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(came)
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusTeapot)
		case <-time.After(200 * time.Millisecond):
		}
	}), func(*server) {})
	go func() {
		<-came
		s.stop()
	}()
	response, err := s.client("127.0.0.1").Get("https://" + s.address)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("it was cut off: %s", response.Status)
	}
}

// A client keeps its connection, until the replica is about to end.
func TestClientsLeaveAReplicaThatIsAboutToEnd(t *testing.T) {
	s := guarded(t, serverWebhook, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(*server) {})
	c := s.client("127.0.0.1")
	ask := func() (kept bool) {
		t.Helper()
		response, err := c.Get("https://" + s.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return !response.Close
	}
	if !ask() {
		t.Error("a connection is not kept")
	}
	close(s.drained)
	if ask() {
		t.Error("a connection is kept to the end")
	}
}

// The API server, whose connections are few, gets through; a client that sends its header slowly does
// not keep its connection.
func TestTheWebhookIsReachedThroughAFlood(t *testing.T) {
	s := guarded(t, serverWebhook, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("HTTP/%d is spoken", r.ProtoMajor)
		}
		_, _ = io.WriteString(w, "here")
	}), func(how *server) { how.limits.Strangers, how.limits.PerAddress, how.header = 20, 18, 2*time.Second })
	var flood []net.Conn
	for range 18 {
		c := tls.Client(s.dial("127.0.0.2"), &tls.Config{RootCAs: s.roots, ServerName: s.server, MinVersion: tls.VersionTLS13})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\n"); err != nil {
			t.Fatal(err)
		}
		flood = append(flood, c)
	}
	for i := range 6 {
		response, err := s.client("127.0.0.1").Get("https://" + s.address)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		_ = response.Body.Close()
	}
	for end := time.Now().Add(patience); held(flood) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d slow clients are still connected", held(flood))
		}
	}
}
