package controller

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/webhook"
)

var _ webhook.Policies = (*Admission)(nil)

// actingPolicies are those that have webhooks.
func (w *World) actingPolicies(ctx context.Context) ([]*protection.Policy, error) {
	list := &v1beta1.ProtectionPolicyList{}
	if err := w.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list ProtectionPolicies: %w", err)
	}
	acting, _ := protection.Acting(list.Items)
	return acting, nil
}

// Protection implements webhook.Policies.
func (a *Admission) Protection(ctx context.Context, r webhook.PolicyRequest) (protection.Answer, error) {
	stored := &v1beta1.ProtectionPolicy{}
	if err := a.Get(ctx, client.ObjectKey{Name: r.Policy}, stored); err != nil {
		if apierrors.IsNotFound(err) {
			return protection.Answer{}, nil // it went a moment ago, or comes in a moment
		}
		return protection.Answer{}, fmt.Errorf("read ProtectionPolicy: %w", err)
	}
	policy, err := protection.New(stored)
	if err != nil {
		return protection.Answer{}, err //nolint:wrapcheck // it names the policy
	}
	now, ok := r.Object.(client.Object)
	if !ok {
		return protection.Answer{}, fmt.Errorf("a %T is not an object", r.Object)
	}
	if now.GetDeletionTimestamp() != nil {
		return protection.Answer{}, nil // its finalizers must come off
	}
	// Read once for both looks at a claim.
	users := sync.OnceValues(func() (claimUsers, error) { return a.usersOfClaimsIn(ctx, r.Namespace) })
	after, err := a.protected(ctx, r.Kind, now, r.Namespace, users)
	if err != nil {
		return protection.Answer{}, err
	}
	verdict := policy.Judge(&after, a.Namespace)
	if verdict.State != protection.Unprotected {
		return protection.Answer{}, nil
	}
	var before *protection.Verdict
	if old, is := r.Old.(client.Object); is {
		o, err := a.protected(ctx, r.Kind, old, r.Namespace, users)
		if err != nil {
			return protection.Answer{}, err
		}
		was := policy.Judge(&o, a.Namespace)
		before = &was
	}
	return policy.Admit(before, verdict), nil
}

// protected is what policies look at of an object in a request: its backups are those that people wrote,
// and those that its annotations give, stored or not. Whether they make backups right now is not asked.
// Users are asked for a claim's only.
func (a *Admission) protected(ctx context.Context, k target.Kind, obj client.Object, namespace string, users func() (claimUsers, error)) (protection.Object, error) {
	n, err := a.namespace(ctx, namespace)
	if err != nil {
		return protection.Object{}, err
	}
	t, ok := blueprint.TargetOf(obj, namespace)
	if !ok || k.Model == target.ModelJob {
		users, err := users()
		return claim(obj, n, users), err
	}
	out := protection.ObjectOf(&t, n)
	in, err := a.ExpansionInput(ctx, t)
	if err != nil {
		return out, err
	}
	expansion, problems := blueprint.Expand(in)
	configs, err := a.ConfigsOf(ctx, k.Ref("", t.Name), namespace)
	if err != nil {
		return out, err
	}
	for _, p := range expansion.Pairs {
		b, err := a.backupOf(ctx, p)
		if err != nil {
			return out, err
		}
		out.Backups = append(out.Backups, b)
	}
	for i := range configs {
		c := &configs[i]
		// What was expanded goes with what it was expanded from, unless that cannot be expanded now.
		if expanded(c, &t) && (len(problems) == 0 || len(in.Names()) == 0) {
			continue
		}
		repo, err := a.Repository(ctx, c.Spec.Repository, c.Namespace)
		if err != nil {
			return out, err
		}
		b := protection.Backup{Configuration: c}
		if repo != nil {
			b.Location = location(repo)
		}
		if b.Strayed, err = a.origins().strayed(ctx, &t, c, repo); err != nil {
			return out, err
		}
		out.Backups = append(out.Backups, b)
	}
	return out, nil
}

// expanded tells whether a configuration was expanded from a target, and not written by somebody.
func expanded(c *v1beta1.BackupConfiguration, t *blueprint.Target) bool {
	return c.Annotations[api.AnnotationExpandedFrom] == target.Key(t.Kind.String(), t.Namespace, t.Name)
}

// namespace reads what policies look at of a namespace, which may have been created a moment ago.
func (w *World) namespace(ctx context.Context, name string) (protection.Namespace, error) {
	ns := &corev1.Namespace{}
	err := w.Get(ctx, client.ObjectKey{Name: name}, ns)
	if apierrors.IsNotFound(err) {
		err = w.Live.Get(ctx, client.ObjectKey{Name: name}, ns)
	}
	switch {
	case apierrors.IsNotFound(err):
		return protection.Namespace{Name: name}, nil
	case err != nil:
		return protection.Namespace{}, fmt.Errorf("read namespace: %w", err)
	}
	return protection.NamespaceOf(ns), nil
}
