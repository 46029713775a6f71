// Package gate passes TCP connections on to a server, as slowly as asked: it
// stands in for a narrow or distant network on kernels without traffic
// shaping. Limits change while connections are open. It decides nothing about
// what passes.
package gate

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"time"
)

// Config says where the gate listens and how slow it is. It is read from a
// file; Limits are read again whenever that file changes.
type Config struct {
	// Plain and Secure are the addresses to listen on; Secure speaks TLS with
	// CertFile and KeyFile.
	Plain, Secure     string
	CertFile, KeyFile string
	// Server is where connections go, in plain text.
	Server string
	// LimitsFile holds Limits. It may be absent: no limits.
	LimitsFile string
}

// Limits slow the gate down. Zero values do not.
type Limits struct {
	// BytesPerSecond is shared by all connections, for each direction.
	BytesPerSecond int64
	// Delay is added to every byte, for each direction.
	Delay time.Duration
}

// ReadLimits reads a limits file; an absent or half-written one limits nothing.
func ReadLimits(path string) Limits {
	var l Limits
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &l) != nil {
		return Limits{}
	}
	return l
}

// Write replaces a limits file at once.
func (l Limits) Write(path string) error {
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode limits: %w", err)
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return fmt.Errorf("write limits: %w", err)
	}
	return os.Rename(path+".new", path)
}

// Run serves the gate that a config file describes; it returns only with an
// error.
func Run(configFile string) error {
	data, err := os.ReadFile(configFile)
	if err != nil {
		return fmt.Errorf("read gate config: %w", err)
	}
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("decode gate config: %w", err)
	}
	plain, err := net.Listen("tcp", c.Plain)
	if err != nil {
		return fmt.Errorf("open gate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return fmt.Errorf("load gate's certificate: %w", err)
	}
	secure, err := tls.Listen("tcp", c.Secure, &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
	})
	if err != nil {
		return fmt.Errorf("open secure gate: %w", err)
	}
	lanes := newLanes()
	go lanes.follow(c.LimitsFile)
	failed := make(chan error, 2)
	go func() { failed <- lanes.serve(plain, c.Server) }()
	go func() { failed <- lanes.serve(secure, c.Server) }()
	return <-failed
}

// lanes are the two directions through the gate.
type lanes struct {
	up, down *lane
}

func newLanes() lanes {
	return lanes{up: &lane{}, down: &lane{}}
}

// follow applies the limits file whenever it changes.
func (ls lanes) follow(path string) {
	for {
		limits := ReadLimits(path)
		ls.up.set(limits)
		ls.down.set(limits)
		time.Sleep(100 * time.Millisecond)
	}
}

func (ls lanes) serve(listener net.Listener, server string) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("accept at gate: %w", err)
		}
		go ls.pass(conn, server)
	}
}

// pass connects both ends until both directions have ended.
func (ls lanes) pass(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		log.Printf("reach server: %v", err)
		return
	}
	defer server.Close()
	upDone := make(chan struct{})
	go func() {
		defer close(upDone)
		ls.up.copy(server, client)
		closeWrite(server)
	}()
	ls.down.copy(client, server)
	closeWrite(client)
	// A client that never closes its end must not keep the connection.
	select {
	case <-upDone:
	case <-time.After(time.Second):
	}
}

// closeWrite tells the other end that no more comes.
func closeWrite(c net.Conn) {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return
	}
	if err := half.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) {
		_ = c.Close() // it is broken already
	}
}
