package controller

import (
	"context"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/webhook"
)

// configurationsEvery is how often the webhook configurations are compared with the table.
const configurationsEvery = 15 * time.Second

// OwnerRole is the ClusterRole that owns the webhook configurations: removing Stash removes them.
const OwnerRole = "stash-operator"

// WebhookConfigurations keeps both webhook configurations as the table says, on the leader.
type WebhookConfigurations struct {
	*World
	// Service of the webhooks in the operator's namespace.
	Service string

	poke chan struct{}
}

// NewWebhookConfigurations returns the keeper of the configurations.
func NewWebhookConfigurations(w *World, service string) *WebhookConfigurations {
	return &WebhookConfigurations{World: w, Service: service, poke: make(chan struct{}, 1)}
}

// Poke has the configurations looked at soon.
func (k *WebhookConfigurations) Poke() {
	select {
	case k.poke <- struct{}{}:
	default:
	}
}

// Start implements manager.Runnable.
func (k *WebhookConfigurations) Start(ctx context.Context) error {
	for {
		_, changed := k.Bundle()
		if err := k.keep(ctx); err != nil && ctx.Err() == nil {
			k.Log.Error("webhook configurations are not up to date", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-k.poke:
		case <-time.After(configurationsEvery):
		}
	}
}

func (k *WebhookConfigurations) keep(ctx context.Context) error {
	bundle, _ := k.Bundle()
	finished, err := k.FinishedRestores(ctx)
	if err != nil {
		return err
	}
	in := webhook.Installation{Namespace: k.Namespace, Service: k.Service, CABundle: bundle, Finished: finished}
	role := &rbacv1.ClusterRole{}
	switch err := k.Live.Get(ctx, client.ObjectKey{Name: OwnerRole}, role); {
	case err == nil:
		in.Owner = &metav1.OwnerReference{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: role.Name, UID: role.UID}
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read owner of the webhook configurations: %w", err)
	}
	mutating := webhook.Mutating(in)
	err = k.put(ctx, mutating, &admissionregistrationv1.MutatingWebhookConfiguration{}, func(have client.Object) bool {
		old, ok := have.(*admissionregistrationv1.MutatingWebhookConfiguration)
		return ok && equality.Semantic.DeepDerivative(mutating.Webhooks, old.Webhooks) && len(old.Webhooks) == len(mutating.Webhooks)
	})
	if err != nil {
		return err
	}
	validating := webhook.Validating(in)
	return k.put(ctx, validating, &admissionregistrationv1.ValidatingWebhookConfiguration{}, func(have client.Object) bool {
		old, ok := have.(*admissionregistrationv1.ValidatingWebhookConfiguration)
		return ok && equality.Semantic.DeepDerivative(validating.Webhooks, old.Webhooks) && len(old.Webhooks) == len(validating.Webhooks)
	})
}

// put creates or replaces a configuration.
func (k *WebhookConfigurations) put(ctx context.Context, want, have client.Object, same func(client.Object) bool) error {
	err := k.Live.Get(ctx, client.ObjectKeyFromObject(want), have)
	if apierrors.IsNotFound(err) {
		if err := k.Create(ctx, want); err != nil {
			return fmt.Errorf("create %T: %w", want, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %T: %w", want, err)
	}
	if same(have) {
		return nil
	}
	want.SetResourceVersion(have.GetResourceVersion())
	if err := k.Update(ctx, want); err != nil {
		return fmt.Errorf("update %T: %w", want, err)
	}
	return nil
}
