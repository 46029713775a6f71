package guard_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-731df569/stash/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// switchboard is a net.Listener whose peers call from addresses of their choice.
type switchboard struct {
	calls chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func newSwitchboard() *switchboard {
	return &switchboard{calls: make(chan net.Conn), over: make(chan struct{})}
}

func (s *switchboard) Accept() (net.Conn, error) {
	select {
	case c := <-s.calls:
		return c, nil
	case <-s.over:
		return nil, net.ErrClosed
	}
}
func (s *switchboard) Close() error   { s.once.Do(func() { close(s.over) }); return nil }
func (s *switchboard) Addr() net.Addr { return &net.TCPAddr{} }

// from is a connection with an address.
type from struct {
	net.Conn
	address string
}

func (f from) RemoteAddr() net.Addr { return f }
func (f from) Network() string      { return "tcp" }
func (f from) String() string       { return f.address }

// scene is a guarded listener and who accepted what.
type scene struct {
	t        *testing.T
	board    *switchboard
	accepted chan net.Conn
	mu       sync.Mutex
	refused  []guard.Reason
}

func newScene(t *testing.T, limits guard.Limits) *scene {
	s := &scene{t: t, board: newSwitchboard(), accepted: make(chan net.Conn, 100)}
	limits.Refused = func(r guard.Reason) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused = append(s.refused, r)
	}
	l := guard.Listen(s.board, limits)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted <- c
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		close(s.accepted)
		for c := range s.accepted {
			_ = c.Close()
		}
	})
	return s
}

// call connects; server is nil where the connection was refused.
func (s *scene) call(address string) (client, server net.Conn) {
	s.t.Helper()
	client, theirs := net.Pipe()
	s.board.calls <- from{theirs, address}
	synctest.Wait()
	select {
	case server = <-s.accepted:
	default:
	}
	s.t.Cleanup(func() { _ = client.Close() })
	return client, server
}

func (s *scene) want(reasons ...guard.Reason) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.refused, reasons) {
		s.t.Errorf("refused %v, want %v", s.refused, reasons)
	}
}

// gone tells whether the other side has hung up.
func gone(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func TestOneAddressHasItsShareOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, guard.Limits{Strangers: 10, PerAddress: 2})
		_, first := s.call("10.0.0.1:1")
		s.call("10.0.0.1:2")
		if client, third := s.call("10.0.0.1:3"); third != nil || !gone(client) {
			t.Error("the third of an address was accepted")
		}
		s.want(guard.ReasonAddress)
		if _, other := s.call("10.0.0.2:1"); other == nil {
			t.Error("another address was refused")
		}
		_ = first.Close()
		_ = first.Close() // as servers do
		if _, next := s.call("10.0.0.1:4"); next == nil {
			t.Error("there was room again")
		}
		if _, more := s.call("10.0.0.1:5"); more != nil {
			t.Error("closing twice made room twice")
		}
	})
}

func TestAFloodShutsOutOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, guard.Limits{Strangers: 4, PerAddress: 4})
		var flood []net.Conn
		for i := range 4 {
			client, _ := s.call("10.0.0.1:" + string(rune('1'+i)))
			flood = append(flood, client)
		}
		if _, one := s.call("10.0.0.2:1"); one == nil {
			t.Fatal("an address without any was refused")
		}
		if !gone(flood[0]) || gone(flood[1]) {
			t.Error("the flood's oldest was not the one to go")
		}
		if _, two := s.call("10.0.0.2:2"); two == nil { // 3 and 1 become 2 and 2
			t.Error("an address with less was refused")
		}
		if _, three := s.call("10.0.0.2:3"); three != nil {
			t.Error("an address with as much as the others got more")
		}
		s.want(guard.ReasonTotal, guard.ReasonTotal, guard.ReasonTotal)
	})
}

func TestStrangersStayForAWhileOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, guard.Limits{Strangers: 4, PerAddress: 2, Grace: time.Minute})
		stranger, _ := s.call("10.0.0.1:1")
		known, server := s.call("10.0.0.1:2")
		ctx := guard.ConnContext(context.Background(), server)
		end := guard.Proven(ctx)
		// Who is known is not counted.
		if _, next := s.call("10.0.0.1:3"); next == nil {
			t.Error("a connection that has proven itself is counted")
		}
		again := guard.Proven(ctx)
		end()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if !gone(stranger) || gone(known) {
			t.Error("the wrong one was closed")
		}
		s.want(guard.ReasonUnproven, guard.ReasonUnproven)
		again()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if !gone(known) {
			t.Error("a connection without any proof left stays")
		}
		end = guard.Proven(ctx) // too late, and harmless
		end()
		guard.Proven(context.Background())()
	})
}

func TestAGateBoundsAllAndEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.NewGate(3, 2)
		a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
		enter := func(address netip.Addr) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return g.Enter(ctx, address)
		}
		for _, address := range []netip.Addr{a, a, b} {
			if err := enter(address); err != nil {
				t.Fatal(err)
			}
		}
		if enter(a) == nil || enter(b) == nil {
			t.Error("more than there is room for")
		}
		entered := make(chan error)
		go func() { entered <- g.Enter(context.Background(), b) }()
		synctest.Wait()
		g.Leave(a)
		if err := <-entered; err != nil {
			t.Error(err)
		}
		for _, address := range []netip.Addr{a, b, b} {
			g.Leave(address)
		}
		for i, address := range []netip.Addr{b, b, b, a} {
			if err := enter(address); (err == nil) != (i != 2) {
				t.Errorf("%d, after all have left: %v", i, err)
			}
		}
	})
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1:80": "10.0.0.1", "[::ffff:10.0.0.1]:80": "10.0.0.1", "[fe80::1%eth0]:80": "fe80::1", "pipe": "invalid IP", "": "invalid IP",
	} {
		if got := guard.AddressOf(text).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
