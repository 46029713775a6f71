package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// caTrust is how long a ConfigMap that was seen to be right is not looked at again.
const caTrust = 5 * time.Minute

// caSeen remembers in which namespaces the CA was right.
type caSeen struct {
	mu     sync.Mutex
	bundle string
	at     map[string]time.Time
}

func (s *caSeen) fresh(namespace, bundle string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundle == bundle && now.Sub(s.at[namespace]) < caTrust
}

func (s *caSeen) saw(namespace, bundle string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bundle != bundle || s.at == nil {
		s.bundle, s.at = bundle, map[string]time.Time{}
	}
	s.at[namespace] = now
}

// ensureCA keeps the ConfigMap by which the agents of a namespace trust the broker.
func (w *World) ensureCA(ctx context.Context, namespace string) error {
	bundle, _ := w.Bundle()
	if len(bundle) == 0 {
		return fmt.Errorf("write CA to namespace %q: there is no CA yet", namespace)
	}
	if w.ca.fresh(namespace, string(bundle), w.Now()) {
		return nil
	}
	want := map[string]string{api.ConfigMapCAKey: string(bundle)}
	cm := &corev1.ConfigMap{}
	err := w.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: api.ConfigMapCA}, cm)
	switch {
	case apierrors.IsNotFound(err):
		cm = &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: api.ConfigMapCA,
				Labels:      map[string]string{api.LabelManagedBy: api.ManagedBy},
				Annotations: map[string]string{"argocd.argoproj.io/compare-options": "IgnoreExtraneous"},
			},
			Data: want,
		}
		if err := w.Create(ctx, cm); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create CA ConfigMap: %w", err)
		}
	case err != nil:
		return fmt.Errorf("read CA ConfigMap: %w", err)
	case cm.Data[api.ConfigMapCAKey] != want[api.ConfigMapCAKey]:
		cm.Data = want
		if err := w.Update(ctx, cm); err != nil {
			return fmt.Errorf("update CA ConfigMap: %w", err)
		}
	}
	w.ca.saw(namespace, string(bundle), w.Now())
	return nil
}

// Authorities keeps the CA in every namespace that has agents, on the leader.
type Authorities struct {
	*World
}

// Start implements manager.Runnable.
func (a *Authorities) Start(ctx context.Context) error {
	for {
		_, changed := a.Bundle()
		namespaces, err := a.namespaces(ctx)
		if err != nil {
			a.Log.Warn("namespaces with agents could not be listed", "err", err)
		}
		for ns := range namespaces {
			if err := a.ensureCA(ctx, ns); err != nil && !apierrors.IsNotFound(err) {
				a.Log.Warn("CA could not be written", "namespace", ns, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(caTrust):
		}
	}
}

// namespaces are those where agents run or may run.
func (a *Authorities) namespaces(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	repos := &v1alpha1.RepositoryList{}
	if err := a.List(ctx, repos); err != nil {
		return nil, fmt.Errorf("list Repositories: %w", err)
	}
	for i := range repos.Items {
		out[repos.Items[i].Namespace] = true
	}
	configs := &v1beta1.BackupConfigurationList{}
	if err := a.List(ctx, configs); err != nil {
		return nil, fmt.Errorf("list BackupConfigurations: %w", err)
	}
	for i := range configs.Items {
		if t := configs.Items[i].Spec.Target; t != nil {
			out[target.Namespace(t.Ref, configs.Items[i].Namespace)] = true
		}
	}
	return out, nil
}
