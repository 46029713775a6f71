package e2e_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// gate is a test's own way to the storage: slowing, cutting or refusing it disturbs no other test.
// It listens on the machine's address on the cluster's bridge and passes bytes on.
type gate struct {
	listener net.Listener
	target   string

	// turn is held by the one connection whose bytes are paid for.
	turn sync.Mutex

	mu     sync.Mutex
	up     int64 // bytes per second towards the storage; 0: no limit
	down   int64 // and from there
	closed bool  // connections are refused at once
	hung   bool  // bytes go nowhere
	conns  map[net.Conn]bool
	opened chan struct{} // closed when bytes may pass
}

func newGate(t *testing.T) *gate {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", net.JoinHostPort(suite.cluster.MachineIP(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{
		listener: l, target: net.JoinHostPort(suite.cluster.StorageIP(), "9000"),
		conns: map[net.Conn]bool{}, opened: make(chan struct{}),
	}
	close(g.opened)
	t.Cleanup(func() {
		_ = l.Close()
		g.drop()
	})
	go g.serve()
	return g
}

func (g *gate) endpoint() string { return "http://" + g.listener.Addr().String() }

// slow limits what goes to the storage to that many bytes per second, all connections together.
func (g *gate) slow(bytesPerSecond int64) { g.set(func() { g.up = bytesPerSecond }) }

// slowDown limits what comes from there.
func (g *gate) slowDown(bytesPerSecond int64) { g.set(func() { g.down = bytesPerSecond }) }

// refuse breaks all connections and refuses new ones.
func (g *gate) refuse() {
	g.set(func() { g.closed = true })
	g.drop()
}

// hang lets connections stand and passes nothing on, like a storage that fell off the network.
func (g *gate) hang() {
	g.set(func() {
		if !g.hung {
			g.hung, g.opened = true, make(chan struct{})
		}
	})
}

// heal undoes slow, refuse and hang.
func (g *gate) heal() {
	g.set(func() {
		if g.hung {
			close(g.opened)
		}
		g.up, g.down, g.closed, g.hung = 0, 0, false, false
	})
}

func (g *gate) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func (g *gate) drop() {
	g.set(func() {
		for c := range g.conns {
			_ = c.Close()
		}
		clear(g.conns)
		if g.hung {
			close(g.opened)
			g.opened = make(chan struct{})
		}
	})
}

func (g *gate) serve() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		go g.pass(client)
	}
}

// pass joins a client with the storage.
func (g *gate) pass(client net.Conn) {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed {
		// A reset, as from a port that nobody listens on.
		if tcp, ok := client.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = client.Close()
		return
	}
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", g.target)
	if err != nil {
		_ = client.Close()
		return
	}
	g.set(func() { g.conns[client], g.conns[server] = true, true })
	defer g.set(func() { delete(g.conns, client); delete(g.conns, server) })
	defer func() { _, _ = client.Close(), server.Close() }()
	done := make(chan struct{}, 2)
	go func() { g.copy(server, client, true); done <- struct{}{} }()
	go func() { g.copy(client, server, false); done <- struct{}{} }()
	<-done
}

// copy moves bytes one way, at the pace of the moment.
func (g *gate) copy(to io.Writer, from io.Reader, up bool) {
	buffer := make([]byte, 8<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			g.pace(n, up)
			if _, werr := to.Write(buffer[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				if half, ok := to.(interface{ CloseWrite() error }); ok {
					_ = half.CloseWrite()
				}
			}
			return
		}
	}
}

// pace waits until n bytes may pass. A limit that is lifted meanwhile ends the wait soon.
func (g *gate) pace(n int, up bool) {
	g.mu.Lock()
	rate, opened := g.down, g.opened
	if up {
		rate = g.up
	}
	g.mu.Unlock()
	<-opened
	if rate == 0 {
		return
	}
	g.turn.Lock()
	defer g.turn.Unlock()
	time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
}
