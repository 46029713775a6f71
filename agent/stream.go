package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

const (
	dialTimeout = 10 * time.Second
	maxLine     = 8 << 20
	maxRefusal  = 1 << 10
	// refusedPause is the wait of a sidecar or worker that was refused.
	refusedPause = 15 * time.Second
)

var (
	errRefused = errors.New("refused by the broker")
	errSilence = errors.New("the broker was silent for too long")
	errClosed  = errors.New("the broker closed the stream")
)

// stream keeps one stream open until ctx ends.
func (a *agent) stream(ctx context.Context) {
	wait := a.Timings.BackoffMin
	for ctx.Err() == nil {
		heard, err := a.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			wait = a.Timings.BackoffMin
		}
		pause := wait/2 + rand.N(wait/2+1) //nolint:gosec // jitter
		if errors.Is(err, errRefused) {
			pause = max(pause, min(refusedPause, a.Timings.BackoffMax))
		} else if a.said.first("stream", err.Error(), time.Minute) {
			a.Log.Warn("no stream to the broker", "err", err, "retry", pause.String())
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = min(2*wait, a.Timings.BackoffMax)
	}
}

// connect opens one stream and serves it to its end. heard tells whether the broker said anything.
func (a *agent) connect(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	transport, err := a.transport()
	if err != nil {
		return false, err
	}
	defer transport.CloseIdleConnections()
	token, err := os.ReadFile(a.TokenFile)
	if err != nil {
		return false, fmt.Errorf("read token: %w", err)
	}
	body, out := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+a.BrokerAddress+protocol.Path, body)
	if err != nil {
		return false, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set(protocol.RoleHeader, string(a.Role))

	// The writer starts at once: the broker may answer only after it was greeted.
	var writer sync.WaitGroup
	writer.Go(func() {
		writeErr := a.write(ctx, out)
		_ = out.CloseWithError(writeErr)
	})
	defer writer.Wait()
	defer func() {
		cancel(err)
		_ = body.CloseWithError(errClosed)
	}()
	// One watch for the answer's first and for every other line.
	silence := time.AfterFunc(max(a.Timings.Silence, dialTimeout), func() { cancel(errSilence) })
	defer silence.Stop()

	response, err := transport.RoundTrip(request)
	if err != nil {
		return false, because(ctx, fmt.Errorf("connect to %q: %w", a.BrokerAddress, err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
		return false, fmt.Errorf("connect to %q: %s: %s", a.BrokerAddress, response.Status, strings.TrimSpace(string(text)))
	}
	return a.read(ctx, response.Body, silence)
}

// because prefers our own reason for the end of a stream to what became of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// transport is made for each connect, since the CA may be another one.
func (a *agent) transport() (*http.Transport, error) {
	ca, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("read CA: %q holds no certificate", a.CAFile)
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP2(true) // the only one with both directions at once
	return &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: roots, ServerName: a.ServerName, MinVersion: tls.VersionTLS13},
		Protocols:              protocols,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		IdleConnTimeout:        time.Second, // a stream that was reset may still look busy when we close
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}, nil
}

// write says hello, then what is in the outbox and that we live, until ctx ends.
func (a *agent) write(ctx context.Context, out io.Writer) error {
	encoder := json.NewEncoder(out)
	a.outbox.connected()
	hello := protocol.Hello{
		Version: protocol.Version, Role: a.Role, Build: a.Build, Mounted: a.Mounted,
		Running: append(a.tasks.ids(), a.outbox.unacknowledged()...),
	}
	hello.Hostname, _ = os.Hostname() // where the kernel says none, locks bear none either
	// The sign of life makes the broker answer, and thereby open its direction, at once.
	for _, line := range []protocol.Up{{Hello: &hello}, {Alive: true}} {
		if err := encoder.Encode(line); err != nil {
			return fmt.Errorf("write line: %w", err)
		}
	}
	beat := time.NewTicker(a.Timings.Heartbeat)
	defer beat.Stop()
	for {
		for _, line := range a.outbox.next() {
			if err := encoder.Encode(line); err != nil {
				return fmt.Errorf("write line: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.outbox.wake:
		case <-beat.C:
			if err := encoder.Encode(protocol.Up{Alive: true}); err != nil {
				return fmt.Errorf("write line: %w", err)
			}
		}
	}
}

// read hears lines until the stream ends, which is always an error.
func (a *agent) read(ctx context.Context, body io.Reader, silence *time.Timer) (heard bool, err error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	for lines.Scan() {
		silence.Reset(a.Timings.Silence)
		if !heard {
			heard = true
			a.said.forget("stream")
			a.Log.Info("connected to the broker")
		}
		var down protocol.Down
		if err := json.Unmarshal(lines.Bytes(), &down); err != nil {
			return heard, errors.New("decode line: it is not JSON of the protocol") // the line may hold credentials
		}
		if err := a.hear(down); err != nil {
			return heard, err
		}
	}
	if err := lines.Err(); err != nil {
		return heard, because(ctx, fmt.Errorf("read line: %w", err))
	}
	return heard, because(ctx, errClosed)
}

// hear does what the broker says.
func (a *agent) hear(down protocol.Down) error {
	switch {
	case down.Task != nil:
		a.tasks.start(*down.Task)
	case down.Cancel != "":
		a.tasks.cancel(down.Cancel)
	case down.Ack != "":
		a.acknowledged(down.Ack)
	case down.Wait != "":
		if a.said.first("wait", down.Wait, time.Minute) {
			a.Log.Info("waiting for work", "reason", down.Wait)
		}
	case down.Finish:
		a.finish()
	case down.Refuse != "":
		a.Log.Warn("refused by the broker", "reason", down.Refuse)
		if a.Role.Once() {
			a.end(fmt.Errorf("refused: %s", down.Refuse))
		}
		return errRefused
	}
	return nil
}

// finish ends the run unless something is being done: half a restore must not become a pod that
// starts, and the result of a worker must not be lost.
func (a *agent) finish() {
	switch {
	case a.Role == protocol.RoleSidecar:
		return
	case len(a.tasks.ids()) > 0 || !a.outbox.empty():
		a.Log.Info("told to finish; work is still being done")
	default:
		a.Log.Info("nothing is to be done")
		a.end(nil)
	}
}
