package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/webhook"
)

// everywhere runs a function on every replica, leader or not.
type everywhere func(context.Context) error

func (e everywhere) Start(ctx context.Context) error { return e(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (e everywhere) NeedLeaderElection() bool { return false }

var _ manager.LeaderElectionRunnable = everywhere(nil)

// addServers adds what serves agents, and the certificates.
func (a *assembly) addServers(ctx context.Context) error {
	for _, run := range []everywhere{
		func(ctx context.Context) error { return a.keeper.Run(ctx) },
		a.world.WatchNodes,
		func(ctx context.Context) error {
			return a.broking().serve(ctx, a.options.brokerAddress, a.source, a.broker)
		},
	} {
		if err := a.mgr.Add(run); err != nil {
			return fmt.Errorf("add server: %w", err)
		}
	}
	return a.notifyAgents(ctx)
}

// notifyAgents makes the broker read an agent's orders when an object that names its pod changes.
func (a *assembly) notifyAgents(ctx context.Context) error {
	for _, obj := range []client.Object{&v1beta1.BackupSession{}, &v1beta1.RestoreSession{}, &v1alpha1.Repository{}} {
		informer, err := a.mgr.GetCache().GetInformer(ctx, obj)
		if err != nil {
			return fmt.Errorf("watch %T: %w", obj, err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { a.notify(nil, o) },
			UpdateFunc: a.notify,
			DeleteFunc: func(o any) { a.notify(nil, o) },
		})
		if err != nil {
			return fmt.Errorf("watch %T: %w", obj, err)
		}
	}
	return nil
}

func (a *assembly) notify(before, after any) {
	if gone, ok := after.(toolscache.DeletedFinalStateUnknown); ok {
		after = gone.Obj
	}
	for _, uid := range a.world.ConcernedPods(before, after) {
		a.broker.Notify(uid)
	}
}

// addProbes adds probes that mean it: alive is the process, ready is that caches are synced and the
// own TLS endpoint answers with a certificate that the own CA has signed.
func (a *assembly) addProbes(context.Context) error {
	if err := a.mgr.AddHealthzCheck("process", func(*http.Request) error { return nil }); err != nil {
		return fmt.Errorf("add probe: %w", err)
	}
	checks := map[string]func(*http.Request) error{
		"not-stopping": func(*http.Request) error {
			select {
			case <-a.drained:
				return errors.New("stopping")
			default:
				return nil
			}
		},
		"caches": func(r *http.Request) error {
			limit, cancel := context.WithTimeout(r.Context(), time.Second)
			defer cancel()
			if !a.mgr.GetCache().WaitForCacheSync(limit) {
				return errors.New("caches are not synced")
			}
			return nil
		},
		"webhook": func(r *http.Request) error {
			return a.answers(r.Context(), a.options.webhookAddress, a.options.webhookService)
		},
		"broker": func(r *http.Request) error {
			return a.answers(r.Context(), a.options.brokerAddress, a.options.brokerService)
		},
		"registered": registered(a.direct),
	}
	for name, check := range checks {
		if err := a.mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("add probe: %w", err)
		}
	}
	return nil
}

// registered tells, until it was so once, whether the leader has made the webhook configurations:
// before, the API server refuses all of our kinds, and whoever waits for us would write them too early.
func registered(c client.Reader) func(*http.Request) error {
	var once atomic.Bool
	return func(r *http.Request) error {
		if once.Load() {
			return nil
		}
		limit, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
		if err := c.Get(limit, client.ObjectKey{Name: webhook.ConfigurationName}, configuration); err != nil {
			return fmt.Errorf("webhooks are not registered: %w", err)
		}
		once.Store(true)
		return nil
	}
}

// answers makes a TLS connection to one of our own addresses, as the API server and agents do.
func (a *assembly) answers(ctx context.Context, address, service string) error {
	bundle, _ := a.source.Bundle()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return errors.New("there is no CA")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("parse address: %w", err)
	}
	if host == "" {
		host = "localhost"
	}
	dialer := &tls.Dialer{Config: &tls.Config{
		RootCAs: roots, ServerName: service + "." + a.options.namespace + ".svc", MinVersion: tls.VersionTLS13,
	}}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return fmt.Errorf("dial own endpoint: %w", err)
	}
	return conn.Close() //nolint:wrapcheck // nothing was sent
}
