package certs

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
)

// SecretName is the Secret in the operator's namespace.
const SecretName = "stash-certs"

const (
	interval = 30 * time.Second
	// looks is how often a Secret is looked at within an overlap, where that is shorter.
	looks = 30
	// retry is the pause after a failure; a fresh operator cannot serve before the first success.
	retry    = 2 * time.Second
	attempts = 5
)

// ErrContended tells that others changed the Secret at every attempt; the next round tries again.
var ErrContended = errors.New("others keep changing the Secret")

// Client reads and writes one Secret. It must not cache: the operator may get Secrets, not watch them.
type Client interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
	Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error
}

// Keeper keeps the Secret as Needs wants it and the Source as the Secret is. Every replica has one.
type Keeper struct {
	// Client of the API server, not a cache.
	Client Client
	// Namespace of the Secret, the operator's own.
	Namespace string
	// Names that the leaf is for, see Names.
	Names []string
	// Overlap is how long clients get to learn a CA, and to forget one. 0: the constant Overlap.
	Overlap time.Duration
	// CertManager has the leaf issued by cert-manager; nil: by our own CA.
	CertManager *CertManager
	// Source that is kept up to date.
	Source *Source
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
	// Log gets failures of Run; they are tried again. Nil: slog's default.
	Log *slog.Logger

	mu sync.Mutex
	// trouble is what was said last about cert-manager.
	trouble string
}

// Names are those of Services of a namespace, as clients inside the cluster write them.
func Names(namespace string, services ...string) []string {
	out := make([]string, 0, 2*len(services))
	for _, s := range services {
		name := s + "." + namespace + ".svc"
		out = append(out, name, name+".cluster.local")
	}
	return out
}

// Run reconciles until ctx ends: at once, then every half minute. It needs no leader.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		pause := min(interval, Terms{Overlap: k.Overlap}.overlap()/looks)
		if err := k.Reconcile(ctx); err != nil && ctx.Err() == nil {
			k.log().ErrorContext(ctx, "serving certificate is not up to date", "error", err)
			pause = retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// Reconcile reads the Secret, does what is due and loads the result. Where another replica is faster,
// its result is adopted. An error leaves the Source as it is.
func (k *Keeper) Reconcile(ctx context.Context) error {
	for range attempts {
		data, err := k.once(ctx)
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
			continue // another replica, or somebody deleted it in between: look again
		}
		if err != nil {
			return err
		}
		return k.Source.load(data)
	}
	return fmt.Errorf("keep Secret %q: %w", k.Namespace+"/"+SecretName, ErrContended)
}

// once returns the Secret's data after what is due was done.
func (k *Keeper) once(ctx context.Context) (map[string][]byte, error) {
	secret := &corev1.Secret{}
	err := k.Client.Get(ctx, client.ObjectKey{Namespace: k.Namespace, Name: SecretName}, secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, fmt.Errorf("read Secret %q: %w", k.Namespace+"/"+SecretName, err)
	}
	data, err := k.advance(secret.Data, k.terms(ctx))
	if err != nil {
		return nil, err
	}
	switch {
	case missing:
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: k.Namespace, Name: SecretName, Labels: map[string]string{api.LabelManagedBy: api.ManagedBy},
			},
			Type: corev1.SecretTypeOpaque,
			Data: data,
		}
		if err := k.Client.Create(ctx, secret); err != nil {
			return nil, fmt.Errorf("create Secret %q: %w", k.Namespace+"/"+SecretName, err)
		}
	case !maps.EqualFunc(secret.Data, data, bytes.Equal):
		secret.Data = data
		if err := k.Client.Update(ctx, secret); err != nil {
			return nil, fmt.Errorf("update Secret %q: %w", k.Namespace+"/"+SecretName, err)
		}
	}
	return data, nil
}

// terms are those of now. While cert-manager has nothing that can be served, that is said, and what is
// served goes on.
func (k *Keeper) terms(ctx context.Context) Terms {
	t := Terms{Names: k.Names, Overlap: k.Overlap, Managed: k.CertManager != nil}
	if !t.Managed {
		return t
	}
	issued, err := k.CertManager.Issued(ctx, k.now(), t)
	t.Issued = issued
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	k.mu.Lock()
	changed := trouble != k.trouble
	k.trouble = trouble
	k.mu.Unlock()
	switch {
	case changed && err != nil:
		k.log().WarnContext(ctx, "cert-manager has nothing to serve; what is served goes on, with our own CA where that is needed", "why", trouble)
	case changed:
		k.log().InfoContext(ctx, "cert-manager has issued what can be served")
	}
	return t
}

// advance does what is due. A Secret without a usable CA is taken from memory, so that nobody loses
// trust, and that CA is replaced: whoever deletes the Secret wants another one.
func (k *Keeper) advance(data map[string][]byte, t Terms) (map[string][]byte, error) {
	now := k.now()
	if memory := k.Source.remembered(); lost(now, data, k.Names) && !lost(now, memory, k.Names) {
		var err error
		if data, err = retire(now, memory, rand.Reader); err != nil {
			return nil, err
		}
	}
	return Advance(now, data, t, rand.Reader)
}

// lost tells whether a Secret's data has no CA that could go on.
func lost(now time.Time, data map[string][]byte, names []string) bool {
	s := read(data)
	if s.foreign {
		return !s.good(now, names)
	}
	return s.ca == nil || !s.ca.usable(now)
}

// now has no monotonic part: renewal follows the wall clock, also on a machine that was suspended.
func (k *Keeper) now() time.Time {
	if k.Now != nil {
		return k.Now().Round(0)
	}
	return time.Now().Round(0)
}

func (k *Keeper) log() *slog.Logger {
	if k.Log != nil {
		return k.Log
	}
	return slog.Default()
}
