package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/test/manifest"
)

// clients never pause: one has the API server ask the webhooks, one connects to the broker as agents
// do, with a CA that is a while old.
type clients struct {
	t          *testing.T
	o          *operators
	cancel     context.CancelFunc
	running    sync.WaitGroup
	mu         sync.Mutex
	admitted   int
	connected  int
	complaints []string
}

func (o *operators) connect(t *testing.T) *clients {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c := &clients{t: t, o: o, cancel: cancel}
	c.running.Go(func() {
		for ctx.Err() == nil {
			c.count(ctx, &c.admitted, c.admit(ctx), "the API server")
			time.Sleep(20 * time.Millisecond)
		}
	})
	c.running.Go(func() { c.agent(ctx) })
	t.Cleanup(func() { cancel(); c.running.Wait() })
	return c
}

func (c *clients) count(ctx context.Context, n *int, err error, who string) {
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		*n++
		return
	}
	if strings.Contains(err.Error(), "could not be checked") && strings.Contains(err.Error(), "deadline exceeded") {
		return // the webhook was reached, and asked a machine with too much to do; that is no gap
	}
	c.complaints = append(c.complaints, fmt.Sprintf("%s %s: %v", time.Now().Format(time.TimeOnly), who, err))
}

// admit has a Repository checked: nobody else answers, and failures are not ignored.
func (c *clients) admit(ctx context.Context) error {
	objects, err := manifest.Parse(fmt.Appendf(nil, repository, "asked"))
	if err != nil {
		return err
	}
	return c.o.Client.Create(ctx, objects[0], client.DryRunAll)
}

// agent connects to each replica's broker with the CA of some seconds ago: kubelets take a while.
func (c *clients) agent(ctx context.Context) {
	const lag = overlap / 3
	type known struct {
		at   time.Time
		text string
	}
	var history []known
	for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if text, err := c.o.bundle(ctx); err == nil && (len(history) == 0 || history[len(history)-1].text != text) {
			history = append(history, known{time.Now(), text})
		}
		if len(history) == 0 {
			continue
		}
		for len(history) > 1 && time.Since(history[1].at) > lag {
			history = history[1:]
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(history[0].text))
		for _, address := range c.o.brokers() {
			dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: &tls.Config{RootCAs: roots, ServerName: "stash-broker.stash.svc", MinVersion: tls.VersionTLS13}}
			conn, err := dialer.DialContext(ctx, "tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			if errors.Is(err, syscall.ECONNREFUSED) {
				continue // it has just been stopped
			}
			c.count(ctx, &c.connected, err, "an agent")
		}
	}
}

// brokers are the addresses of the replicas that agents are led to.
func (o *operators) brokers() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.published)
}

// stop ends the clients and reports what they met.
func (c *clients) stop() (admitted, connected int) {
	c.t.Helper()
	c.cancel()
	c.running.Wait()
	for _, text := range c.complaints {
		c.t.Error(text)
	}
	return c.admitted, c.connected
}
