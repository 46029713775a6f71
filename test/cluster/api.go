package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// client returns an HTTP client with the administrator's credentials. Only
// what bringing up needs is asked with it; tests use a real client.
func (c *Cluster) client() (*http.Client, error) {
	f := c.pki()
	pair, err := tls.LoadX509KeyPair(f.Crt("admin"), f.Key("admin"))
	if err != nil {
		return nil, fmt.Errorf("load administrator's certificate: %w", err)
	}
	pem, err := os.ReadFile(f.Crt("ca"))
	if err != nil {
		return nil, fmt.Errorf("load certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{
		Timeout: 5 * time.Second,
		// Connections to a host that lost its power would hang.
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS12},
		},
	}, nil
}

// get reads an object of the API into out; out may be nil.
func (c *Cluster) get(ctx context.Context, path string, out any) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Server()+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask API server: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask API server: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask API server: GET %s: %s", path, response.Status)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("read API server's answer: %w", err)
	}
	return nil
}

type condition struct{ Type, Status, LastHeartbeatTime string }

type node struct {
	Metadata struct{ Name string }
	Status   struct{ Conditions []condition }
}

// NodeReady tells whether the API server believes a node to be ready.
func (c *Cluster) NodeReady(ctx context.Context, name string) (bool, error) {
	var n node
	if err := c.get(ctx, "/api/v1/nodes/"+name, &n); err != nil {
		return false, err
	}
	for _, cond := range n.Status.Conditions {
		if cond.Type == "Ready" {
			return cond.Status == "True", nil
		}
	}
	return false, nil
}

// deploymentReady tells whether all replicas of a Deployment are available.
func (c *Cluster) deploymentReady(ctx context.Context, namespace, name string) (bool, error) {
	var d struct {
		Metadata struct{ Generation int64 }
		Spec     struct{ Replicas int }
		Status   struct {
			ObservedGeneration                 int64
			AvailableReplicas, UpdatedReplicas int
		}
	}
	if err := c.get(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, &d); err != nil {
		return false, err
	}
	return d.Status.ObservedGeneration >= d.Metadata.Generation &&
		d.Status.UpdatedReplicas == d.Spec.Replicas && d.Status.AvailableReplicas == d.Spec.Replicas, nil
}

// until polls a condition; when the time is over, the error says what was
// waited for, the last problem, and the end of a log.
func (c *Cluster) until(ctx context.Context, limit time.Duration, what, logFile string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %w)%s", what, ctx.Err(), orNotYet(last), logTail(logFile))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var errNotYet = errors.New("not yet")

func orNotYet(err error) error {
	if err == nil {
		return errNotYet
	}
	return err
}
