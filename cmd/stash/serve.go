package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/guard"
)

// Both servers must be reachable by everybody: the API server's address is not known in general, and
// agents run in all namespaces. What strangers can have of them is bounded here.
const (
	serverBroker  = "broker"
	serverWebhook = "webhook"
)

// server is how requests are served.
type server struct {
	limits guard.Limits
	// header bounds a handshake, and the header of a request; read and write the whole of it and its
	// answer, 0 where they are streams.
	header, read, write time.Duration
	// idle is how long a connection may be kept without a request.
	idle time.Duration
	// http2 is nil where HTTP/1.1 is spoken only.
	http2 *http.HTTP2Config
	// leaving is closed when the process is about to end; nil: nobody is told before.
	leaving <-chan struct{}
	log     *slog.Logger
}

// broking is how agents are served: each has a connection and a stream of its own, for as long as it
// lives, once it has proven who it is.
func (a *assembly) broking() server {
	return server{
		limits: guard.Limits{Strangers: 1024, PerAddress: 256, Grace: 15 * time.Second, Refused: a.closed(serverBroker)},
		header: 5 * time.Second, idle: 15 * time.Second,
		http2: &http.HTTP2Config{
			MaxConcurrentStreams:          4,
			MaxReceiveBufferPerStream:     64 << 10,
			MaxReceiveBufferPerConnection: 128 << 10,
			SendPingTimeout:               30 * time.Second,
			PingTimeout:                   15 * time.Second,
			WriteByteTimeout:              15 * time.Second,
		},
		log: a.log,
	}
}

// admitting is how the API server is served. It speaks HTTP/1.1 to webhooks, a connection for each
// request that is under way.
func (a *assembly) admitting() server {
	return server{
		limits: guard.Limits{Strangers: 1024, PerAddress: 768, Refused: a.closed(serverWebhook)},
		header: 5 * time.Second, read: 5 * time.Second, write: 10 * time.Second, idle: 2 * time.Minute,
		leaving: a.drained, log: a.log,
	}
}

func (a *assembly) closed(server string) func(guard.Reason) {
	return func(r guard.Reason) { a.runtime.Closed(server, string(r)) }
}

// serve serves over TLS 1.3 until ctx ends. Streams are ended then; requests of webhooks, which are short,
// are answered: what they ask the API server meanwhile must not be cut off, since people would be refused.
func (s server) serve(ctx context.Context, address string, source *certs.Source, h http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve %s: %w", address, err)
	}
	config, protocols := certs.TLSConfig(source), &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.http2 != nil)
	if s.http2 == nil {
		config.NextProtos = []string{"http/1.1"}
	}
	base := ctx
	if s.http2 == nil {
		base = context.WithoutCancel(ctx)
	}
	srv := &http.Server{
		Handler: s.movingAway(h), TLSConfig: config, Protocols: protocols, HTTP2: s.http2,
		ReadHeaderTimeout: s.header, ReadTimeout: s.read, WriteTimeout: s.write, IdleTimeout: s.idle, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return base },
		ConnContext: guard.ConnContext,
		// What strangers do wrong in a handshake is not worth a line each.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.ServeTLS(guard.Listen(listener, s.limits), "", "") }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", address, err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		_ = srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", address, err)
	}
	return nil
}

// movingAway has clients of HTTP/1.1 leave with the answers that they get once the process is about to
// end: they would go on to use their connections, whatever became of the endpoint, and the one that is
// closed under a request fails it.
func (s server) movingAway(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-s.leaving:
			if r.ProtoMajor == 1 {
				w.Header().Set("Connection", "close")
			}
		default:
		}
		h.ServeHTTP(w, r)
	})
}
