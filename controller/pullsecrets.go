package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// pullSecretsFor is how long it is believed that a pull secret exists, or that it does not: the
// operator may get Secrets, and neither list nor watch them.
const pullSecretsFor = 5 * time.Minute

// pullSecrets remembers which of the installation's pull secrets exist where.
type pullSecrets struct {
	mu    sync.Mutex
	known map[client.ObjectKey]pullSecret
}

type pullSecret struct {
	exists bool
	seen   time.Time
}

// pullSecretsIn names those of the installation's pull secrets that exist in a namespace: kubelet
// complains of every pod that names another. Only their metadata is read.
func (w *World) pullSecretsIn(ctx context.Context, namespace string) ([]string, error) {
	var out []string
	for _, name := range w.PullSecrets {
		exists, err := w.pullSecretExists(ctx, client.ObjectKey{Namespace: namespace, Name: name})
		if err != nil {
			return nil, err
		}
		if exists {
			out = append(out, name)
		}
	}
	return out, nil
}

func (w *World) pullSecretExists(ctx context.Context, key client.ObjectKey) (bool, error) {
	now := w.Now()
	w.pulls.mu.Lock()
	s, ok := w.pulls.known[key]
	w.pulls.mu.Unlock()
	if ok && now.Sub(s.seen) < pullSecretsFor {
		return s.exists, nil
	}
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := w.Live.Get(ctx, key, meta)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("look for pull secret: %w", err)
	}
	s = pullSecret{exists: !apierrors.IsNotFound(err), seen: now}
	w.pulls.mu.Lock()
	defer w.pulls.mu.Unlock()
	if w.pulls.known == nil {
		w.pulls.known = map[client.ObjectKey]pullSecret{}
	}
	w.pulls.known[key] = s
	return s.exists, nil
}

// askedPullSecrets are those that configurations of pods in a namespace ask for, and restores that
// are under way.
func (w *World) askedPullSecrets(ctx context.Context, namespace string) ([]corev1.LocalObjectReference, error) {
	var out []corev1.LocalObjectReference
	ask := func(s v1beta1.RuntimeSettings, pods string) {
		if s.Pod != nil && pods == namespace {
			out = append(out, s.Pod.ImagePullSecrets...)
		}
	}
	configs := &v1beta1.BackupConfigurationList{}
	if err := w.List(ctx, configs, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list BackupConfigurations: %w", err)
	}
	for i := range configs.Items {
		ask(configs.Items[i].Spec.RuntimeSettings, podsNamespace(&configs.Items[i]))
	}
	restores := &v1beta1.RestoreSessionList{}
	if err := w.List(ctx, restores, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list RestoreSessions: %w", err)
	}
	for i := range restores.Items {
		if rs := &restores.Items[i]; !session.RestoreFinished(rs.Status.Phase) {
			ask(rs.Spec.RuntimeSettings, targetNamespace(rs))
		}
	}
	slices.SortFunc(out, func(a, b corev1.LocalObjectReference) int { return compare(a.Name, b.Name) })
	return out, nil
}
