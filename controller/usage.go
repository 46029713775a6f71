package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker"
)

// maxHolders bounds the record of pods that were given credentials for a Repository.
const maxHolders = 50

// mayUse tells whether a Repository admits a namespace by its usagePolicy.
func (w *World) mayUse(ctx context.Context, repo *v1alpha1.Repository, namespace string) (bool, error) {
	if repo.Namespace == namespace {
		return true, nil
	}
	if repo.Spec.UsagePolicy == nil {
		return false, nil
	}
	allowed := repo.Spec.UsagePolicy.AllowedNamespaces
	switch allowed.From {
	case v1alpha1.NamespacesFromAll:
		return true, nil
	case v1alpha1.NamespacesFromSelector:
		sel, err := metav1.LabelSelectorAsSelector(allowed.Selector)
		if err != nil {
			return false, nil //nolint:nilerr // a selector that cannot be read admits nobody
		}
		ns := &corev1.Namespace{}
		if err := w.Get(ctx, client.ObjectKey{Name: namespace}, ns); err != nil {
			return false, fmt.Errorf("read namespace: %w", err)
		}
		return sel.Matches(labels.Set(ns.Labels)), nil
	case v1alpha1.NamespacesFromSame:
	}
	return false, nil
}

// holds records that a pod is given credentials for a Repository, before it is: a lock that it
// leaves behind can then be told from a foreign one.
func (w *World) holds(ctx context.Context, repo *v1alpha1.Repository, id broker.Identity) error {
	for range 5 {
		live := &v1alpha1.Repository{}
		if err := w.Live.Get(ctx, client.ObjectKeyFromObject(repo), live); err != nil {
			return fmt.Errorf("read Repository: %w", err)
		}
		if slices.ContainsFunc(live.Status.Holders, func(h v1alpha1.Holder) bool { return h.UID == id.PodUID }) {
			return nil
		}
		live.Status.Holders = append(live.Status.Holders, v1alpha1.Holder{Namespace: id.Namespace, Pod: id.Pod, UID: id.PodUID})
		if n := len(live.Status.Holders); n > maxHolders {
			live.Status.Holders = live.Status.Holders[n-maxHolders:]
		}
		err := w.Status().Update(ctx, live)
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("write Repository: %w", err)
		}
	}
	return fmt.Errorf("write Repository \"%s/%s\": too many conflicts", repo.Namespace, repo.Name)
}
