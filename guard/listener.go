package guard

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Reason says why a connection was closed by a Listener; the values are stable and label metrics.
type Reason string

// Reasons.
const (
	// ReasonAddress: one address had too many.
	ReasonAddress Reason = "Address"
	// ReasonTotal: there were too many, and none had more of them than this connection's address.
	ReasonTotal Reason = "Total"
	// ReasonUnproven: the peer has not proven who it is in time.
	ReasonUnproven Reason = "Unproven"
)

// Reasons lists all.
func Reasons() []Reason { return []Reason{ReasonAddress, ReasonTotal, ReasonUnproven} }

// Limits of a Listener. Strangers are connections whose peer has not proven who it is; a server that
// cannot tell has nothing else.
type Limits struct {
	// Strangers bounds all of them, PerAddress those of one address.
	Strangers, PerAddress int
	// Grace is how long a stranger may stay; 0: as long as the server lets it.
	Grace time.Duration
	// Refused is told of every connection that is closed; may be nil.
	Refused func(Reason)
}

// Listen bounds what a listener accepts.
func Listen(l net.Listener, limits Limits) net.Listener {
	if limits.Refused == nil {
		limits.Refused = func(Reason) {}
	}
	return &listener{Listener: l, limits: limits, strangers: map[netip.Addr][]*conn{}}
}

type listener struct {
	net.Listener
	limits Limits

	mu        sync.Mutex
	strangers map[netip.Addr][]*conn // the oldest first
	count     int
}

// Accept returns the next connection that there is room for; others are closed.
func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // the server looks for net's own errors
		}
		c := &conn{Conn: accepted, listener: l, address: AddressOf(accepted.RemoteAddr().String())}
		if !l.admit(c) {
			_ = accepted.Close()
			continue
		}
		return c, nil
	}
}

// admit makes room for a connection, if that is possible.
func (l *listener) admit(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.strangers[c.address]) >= l.limits.PerAddress {
		l.limits.Refused(ReasonAddress)
		return false
	}
	if l.count >= l.limits.Strangers {
		var most []*conn
		for _, list := range l.strangers {
			if len(list) > len(most) {
				most = list
			}
		}
		l.limits.Refused(ReasonTotal)
		if len(most) <= len(l.strangers[c.address])+1 {
			return false
		}
		l.forget(most[0])
		go most[0].Close() // which may wait for what is being written
	}
	l.remember(c)
	return true
}

// remember counts a stranger. The lock is held.
func (l *listener) remember(c *conn) {
	l.strangers[c.address] = append(l.strangers[c.address], c)
	l.count++
	c.counted = true
	if l.limits.Grace > 0 {
		c.timer = time.AfterFunc(l.limits.Grace, c.overdue)
	}
}

// forget stops counting a stranger. The lock is held.
func (l *listener) forget(c *conn) {
	if !c.counted {
		return
	}
	c.counted = false
	l.count--
	if c.timer != nil {
		c.timer.Stop()
	}
	list := l.strangers[c.address]
	if len(list) == 1 {
		delete(l.strangers, c.address)
		return
	}
	for i := range list {
		if list[i] == c {
			// A copy, so that what was forgotten is not kept by the list's array.
			l.strangers[c.address] = append(append(make([]*conn, 0, len(list)-1), list[:i]...), list[i+1:]...)
			return
		}
	}
}

// conn is a connection that is counted while its peer is a stranger.
type conn struct {
	net.Conn
	listener *listener
	address  netip.Addr

	// Of listener.mu.
	counted bool
	closed  bool
	proofs  int
	timer   *time.Timer
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.closed = true
	c.listener.forget(c)
	c.listener.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // it is the connection's own
}

// overdue ends a connection whose peer is still a stranger.
func (c *conn) overdue() {
	c.listener.mu.Lock()
	late := c.counted
	c.listener.mu.Unlock()
	if late {
		c.listener.limits.Refused(ReasonUnproven)
		_ = c.Close()
	}
}

type key struct{}

// ConnContext is for http.Server: it lets handlers find the connection that Proven is about.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, key{}, c)
	}
	return ctx
}

// Proven tells that the peer of a request's connection is no stranger, until the returned function is
// called. Without a Listener it does nothing.
func Proven(ctx context.Context) (end func()) {
	c, ok := ctx.Value(key{}).(*conn)
	if !ok {
		return func() {}
	}
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	c.proofs++
	l.forget(c)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if c.proofs--; c.proofs == 0 && !c.closed {
			l.remember(c)
		}
	}
}

// AddressOf returns the address of host:port; the zero one where it is none.
func AddressOf(hostPort string) netip.Addr {
	a, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}
