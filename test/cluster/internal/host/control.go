package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// request is one message to a host's control socket.
type request struct {
	Op      string // "status", "stop" or "start"
	Process string
}

// response answers a request.
type response struct {
	Error     string          `json:",omitempty"`
	Processes []ProcessStatus `json:",omitempty"`
}

// ProcessStatus is what a host says of one of its processes.
type ProcessStatus struct {
	Name string
	// Running is false while it waits, after it ended, and when stopped.
	Running bool
	// Done is true for a step of the boot that has succeeded.
	Done bool
	// Starts counts how often it was started since the boot.
	Starts int
}

func (s *supervisor) serveControl() error {
	// A socket left over from before a power cut.
	if err := os.Remove(s.spec.Control); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove control socket: %w", err)
	}
	listener, err := net.Listen("unix", s.spec.Control)
	if err != nil {
		return fmt.Errorf("open control socket: %w", err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("accept on control socket: %w", err)
		}
		go s.answer(conn)
	}
}

func (s *supervisor) answer(conn net.Conn) {
	defer conn.Close()
	var q request
	if err := json.NewDecoder(conn).Decode(&q); err != nil {
		return // the caller went away
	}
	if err := json.NewEncoder(conn).Encode(s.handle(q)); err != nil {
		log.Printf("answer control request: %v", err)
	}
}

func (s *supervisor) handle(q request) response {
	if q.Op == "status" {
		return response{Processes: s.status()}
	}
	st := s.state[q.Process]
	if st == nil {
		return response{Error: fmt.Sprintf("host %s has no process %q", s.spec.Name, q.Process)}
	}
	switch q.Op {
	case "stop":
		s.stop(st)
	case "start":
		s.mu.Lock()
		st.stopped = false
		s.mu.Unlock()
		s.start(st)
	default:
		return response{Error: fmt.Sprintf("unknown operation %q", q.Op)}
	}
	return response{}
}

func (s *supervisor) status() []ProcessStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ProcessStatus, 0, len(s.spec.Processes))
	for _, p := range s.spec.Processes {
		st := s.state[p.Name]
		status := ProcessStatus{Name: p.Name, Running: st.pid != 0, Starts: st.starts}
		select {
		case <-st.ended:
			status.Done = true
		default:
		}
		list = append(list, status)
	}
	return list
}

// call sends a request to a host.
func call(ctx context.Context, socket string, q request) (response, error) {
	var answer response
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return answer, fmt.Errorf("reach host: %w", err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return answer, fmt.Errorf("reach host: %w", err)
		}
	}
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return answer, fmt.Errorf("ask host: %w", err)
	}
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return answer, fmt.Errorf("read host's answer: %w", err)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// waitURL returns when the URL answers 200, whenever that is: a node that is
// switched on while the API server is off waits for it, as a real one does.
func waitURL(url, caFile string) {
	pool := x509.NewCertPool()
	if pem, err := os.ReadFile(caFile); err == nil {
		pool.AppendCertsFromPEM(pem)
	} else {
		log.Printf("read CA for %s: %v", url, err)
	}
	client := http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
	}
	for {
		resp, err := client.Get(url)
		if err == nil {
			_ = resp.Body.Close() // nothing of it is read
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}
