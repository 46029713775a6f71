package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// authoritiesEvery is how often all ConfigMaps are looked at although nothing is known to have
// changed; the cache answers.
const authoritiesEvery = 5 * time.Minute

// ensureCA keeps the ConfigMap by which the agents of a namespace trust the broker. A namespace that
// is being deleted gets none.
func (w *World) ensureCA(ctx context.Context, namespace string) error {
	bundle, _ := w.Bundle()
	if len(bundle) == 0 {
		return fmt.Errorf("write CA to namespace %q: there is no CA yet", namespace)
	}
	cm := &corev1.ConfigMap{}
	err := w.Get(ctx, client.ObjectKey{Namespace: namespace, Name: api.ConfigMapCA}, cm)
	switch {
	case apierrors.IsNotFound(err):
		return w.createCA(ctx, namespace, string(bundle))
	case err != nil:
		return fmt.Errorf("read CA ConfigMap: %w", err)
	case cm.Data[api.ConfigMapCAKey] != string(bundle):
		cm.Data = map[string]string{api.ConfigMapCAKey: string(bundle)}
		if err := w.Update(ctx, cm); err != nil {
			return fmt.Errorf("update CA ConfigMap: %w", err)
		}
	}
	return nil
}

func (w *World) createCA(ctx context.Context, namespace, bundle string) error {
	err := w.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: api.ConfigMapCA,
			Labels:      map[string]string{api.LabelManagedBy: api.ManagedBy},
			Annotations: map[string]string{"argocd.argoproj.io/compare-options": "IgnoreExtraneous"},
		},
		Data: map[string]string{api.ConfigMapCAKey: bundle},
	})
	switch {
	// One that the cache does not have yet is looked at when it arrives there.
	case err == nil, apierrors.IsAlreadyExists(err), terminating(err):
		return nil
	}
	return fmt.Errorf("create CA ConfigMap: %w", err)
}

// terminating tells whether a request was refused since its namespace is being deleted.
func terminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// Authorities keeps the CA in every namespace that has agents, on the leader: when the CA changes,
// and when somebody edits or deletes a ConfigMap, alone or with its namespace.
type Authorities struct {
	*World
}

func setupAuthorities(mgr ctrl.Manager, w *World) error {
	a := &Authorities{World: w}
	if err := mgr.Add(a); err != nil {
		return fmt.Errorf("add: %w", err)
	}
	return builder.ControllerManagedBy(mgr).Named("authority").
		For(&corev1.ConfigMap{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(a)
}

// Reconcile looks at the ConfigMap of one namespace.
func (a *Authorities) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Name != api.ConfigMapCA {
		return reconcile.Result{}, nil
	}
	namespaces, err := a.namespaces(ctx)
	if err != nil || !namespaces[req.Namespace] {
		return reconcile.Result{}, err
	}
	err = a.ensureCA(ctx, req.Namespace)
	if apierrors.IsNotFound(err) { // the namespace is gone
		err = nil
	}
	return reconcile.Result{}, err
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
		case <-time.After(authoritiesEvery):
		}
	}
}

// namespaces are those where agents run or may run.
func (a *Authorities) namespaces(ctx context.Context) (map[string]bool, error) {
	repos := &v1alpha1.RepositoryList{}
	if err := a.List(ctx, repos, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Repositories: %w", err)
	}
	configs := &v1beta1.BackupConfigurationList{}
	if err := a.List(ctx, configs, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list BackupConfigurations: %w", err)
	}
	return AgentNamespaces(repos.Items, configs.Items), nil
}

// AgentNamespaces are those where agents run or may run: of Repositories, by their worker, and of
// the targets of configurations.
func AgentNamespaces(repos []v1alpha1.Repository, configs []v1beta1.BackupConfiguration) map[string]bool {
	out := map[string]bool{}
	for i := range repos {
		out[repos[i].Namespace] = true
	}
	for i := range configs {
		if t := configs[i].Spec.Target; t != nil {
			out[target.Namespace(t.Ref, configs[i].Namespace)] = true
		}
	}
	return out
}
