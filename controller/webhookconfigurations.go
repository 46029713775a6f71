package controller

import (
	"context"
	"errors"
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
	// Settings of single hooks.
	Settings webhook.Settings

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
	in := webhook.Installation{Namespace: k.Namespace, Service: k.Service, CABundle: bundle, Settings: k.Settings, Finished: finished}
	if in.Policies, err = k.actingPolicies(ctx); err != nil {
		return err
	}
	role := &rbacv1.ClusterRole{}
	switch err := k.Live.Get(ctx, client.ObjectKey{Name: OwnerRole}, role); {
	case err == nil:
		in.Owner = &metav1.OwnerReference{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: role.Name, UID: role.UID}
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read owner of the webhook configurations: %w", err)
	}
	mutating, haveMutating := webhook.Mutating(in), &admissionregistrationv1.MutatingWebhookConfiguration{}
	mutatingErr := k.put(ctx, mutating, haveMutating, func() bool {
		same := equality.Semantic.DeepEqual(haveMutating.Webhooks, mutating.Webhooks)
		haveMutating.Webhooks = mutating.Webhooks
		return same
	})
	// What keeps one from being written is no reason to leave the other behind, with a CA of yesterday.
	validating, haveValidating := webhook.Validating(in), &admissionregistrationv1.ValidatingWebhookConfiguration{}
	validatingErr := k.put(ctx, validating, haveValidating, func() bool {
		same := equality.Semantic.DeepEqual(haveValidating.Webhooks, validating.Webhooks)
		haveValidating.Webhooks = validating.Webhooks
		return same
	})
	return errors.Join(mutatingErr, validatingErr)
}

// put creates a configuration, or makes the stored one as it should be: adopt gives it our hooks and
// reports whether it had exactly them. What somebody added could disable a hook just as what was
// taken away. Every field that the API server would fill in is filled in by the table. Labels and
// annotations of others are left.
func (k *WebhookConfigurations) put(ctx context.Context, want, have client.Object, adopt func() bool) error {
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
	labels, owners := have.GetLabels(), have.GetOwnerReferences()
	same := adopt()
	merge(have, want)
	if len(want.GetOwnerReferences()) > 0 {
		have.SetOwnerReferences(want.GetOwnerReferences())
	}
	if same && equality.Semantic.DeepEqual(labels, have.GetLabels()) && equality.Semantic.DeepEqual(owners, have.GetOwnerReferences()) {
		return nil
	}
	if err := k.Update(ctx, have); err != nil {
		return fmt.Errorf("update %T: %w", want, err)
	}
	return nil
}
