package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/webhook"
)

// withdrawalMargin is left of a request's time for the answer where there are too many objects to judge.
const withdrawalMargin = time.Second

// Withdrawal implements webhook.Policies. Of claims nothing is read: they are not in the cache, and what
// they lose is in the policy's status.
//
// What becomes of a BackupConfiguration is decided by what is there, not by what the cache knows, where that may
// differ: before it is refused, and where another one holds what it held, which may be deleted at the moment.
func (a *Admission) Withdrawal(ctx context.Context, r webhook.Withdrawal) (protection.Answer, error) {
	said, err := a.withdrawal(ctx, &r)
	if err != nil || r.ConfigurationBefore == nil {
		return said, err
	}
	again := len(said.Refused)+len(said.Warnings) > 0
	if spec, _ := r.ConfigurationBefore.Spec.Shipped(); !again && spec.Target != nil {
		of, err := a.ConfigsOf(ctx, spec.Target.Ref, r.ConfigurationBefore.Namespace)
		if err != nil {
			return said, err
		}
		again = len(of) > 1
	}
	if !again {
		return said, nil
	}
	return a.presently().withdrawal(ctx, &r)
}

func (a *Admission) withdrawal(ctx context.Context, r *webhook.Withdrawal) (protection.Answer, error) {
	found, err := a.withdrawals(ctx, r)
	if err != nil || len(found) == 0 {
		return protection.Answer{}, err
	}
	objects, err := a.touched(ctx, r)
	if err != nil {
		return protection.Answer{}, err
	}
	var out protection.Answer
	if judged, err := a.judgeWithdrawal(ctx, r, found, objects); err != nil {
		return out, err
	} else if judged < len(objects) {
		out.Warnings = []string{fmt.Sprintf("of %d workloads only %d could be looked at in time: what is left unprotected is in the status of the ProtectionPolicies soon", len(objects), judged)}
	}
	for _, w := range found {
		said := w.Answer(r.At)
		out.Refused, out.Warnings = append(out.Refused, said.Refused...), append(out.Warnings, said.Warnings...)
	}
	return out, nil
}

// withdrawals are begun for the request's policy, or for all that act and may refuse or warn.
func (a *Admission) withdrawals(ctx context.Context, r *webhook.Withdrawal) ([]*protection.Withdrawal, error) {
	acting, err := a.actingPolicies(ctx)
	if err != nil {
		return nil, err
	}
	var out []*protection.Withdrawal
	for _, p := range acting {
		if action := p.Spec.Action; (r.Policy == "" || r.Policy == p.Name) && (action == v1beta1.ActionDeny || action == v1beta1.ActionWarn) {
			out = append(out, &protection.Withdrawal{Policy: p, Warned: r.Pauses})
		}
	}
	return out, nil
}

// touched are the workloads that a request may take protection from.
func (a *Admission) touched(ctx context.Context, r *webhook.Withdrawal) ([]client.Object, error) {
	if r.ConfigurationBefore != nil {
		return a.targetOf(ctx, r.ConfigurationBefore)
	}
	var out []client.Object
	for _, k := range target.Workloads() {
		err := a.eachWorkload(ctx, k, func(o client.Object) { out = append(out, o) },
			client.InNamespace(r.NamespaceAfter.Name), client.UnsafeDisableDeepCopy)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", k.Resource, err)
		}
	}
	return out, nil
}

// targetOf is the workload of a configuration; nothing where it is not there, or where it or the configuration
// goes with its namespace.
func (a *Admission) targetOf(ctx context.Context, c *v1beta1.BackupConfiguration) ([]client.Object, error) {
	spec, _ := c.Spec.Shipped()
	if spec.Target == nil {
		return nil, nil
	}
	for _, name := range []string{c.Namespace, target.Namespace(spec.Target.Ref, c.Namespace)} {
		ns := &corev1.Namespace{}
		switch err := a.Get(ctx, client.ObjectKey{Name: name}, ns); {
		case apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil:
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read namespace: %w", err)
		}
	}
	if _, err := target.FindRef(spec.Target.Ref); err != nil {
		return nil, nil //nolint:nilerr // what cannot be backed up was not protected by it
	}
	obj, _, err := a.Workload(ctx, spec.Target.Ref, c.Namespace)
	if err != nil || obj == nil {
		return nil, err
	}
	return []client.Object{obj}, nil
}

// judgeWithdrawal judges objects as they are and as the request would leave them, as many as there is time
// for, or need.
func (a *Admission) judgeWithdrawal(ctx context.Context, r *webhook.Withdrawal, found []*protection.Withdrawal, objects []client.Object) (int, error) {
	before := a.supposing(supposed{Client: a.Client, namespace: r.NamespaceBefore, changed: r.ConfigurationBefore, configuration: r.ConfigurationBefore})
	after := a.supposing(supposed{Client: a.Client, namespace: r.NamespaceAfter, changed: r.ConfigurationBefore, configuration: r.ConfigurationAfter})
	deadline, timed := ctx.Deadline()
	for i, obj := range objects {
		if timed && time.Until(deadline) < withdrawalMargin {
			return i, nil
		}
		if !slices.ContainsFunc(found, func(w *protection.Withdrawal) bool { return !w.Full() }) {
			return len(objects), nil
		}
		k, ok := target.Of(obj)
		if !ok || obj.GetDeletionTimestamp() != nil {
			continue
		}
		was, err := before.protected(ctx, k, obj, obj.GetNamespace(), nil)
		if err != nil {
			return i, err
		}
		is, err := after.protected(ctx, k, obj, obj.GetNamespace(), nil)
		if err != nil {
			return i, err
		}
		for _, w := range found {
			w.Add(&is, w.Policy.Judge(&was, a.Namespace), w.Policy.Judge(&is, a.Namespace))
		}
	}
	return len(objects), nil
}

// supposing is the world with something else in it than is stored.
func (a *Admission) supposing(s supposed) *Admission {
	return &Admission{World: &World{Client: s, Live: a.Live, Events: a.Events, Options: a.Options, Bundle: a.Bundle}}
}

// supposed reads what is stored, but for a namespace or a configuration.
type supposed struct {
	client.Client
	// namespace is read instead of the stored one of its name; nil: none.
	namespace *corev1.Namespace
	// changed is not listed; configuration is, instead, unless it is nil.
	changed, configuration *v1beta1.BackupConfiguration
}

// Get implements client.Reader.
func (s supposed) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if into, is := obj.(*corev1.Namespace); is && s.namespace != nil && s.namespace.Name == key.Name {
		s.namespace.DeepCopyInto(into)
		return nil
	}
	return s.Client.Get(ctx, key, obj, opts...) //nolint:wrapcheck // it stands for the client
}

// List implements client.Reader.
func (s supposed) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if err := s.Client.List(ctx, list, opts...); err != nil {
		return err //nolint:wrapcheck // as above
	}
	configs, is := list.(*v1beta1.BackupConfigurationList)
	if !is || s.changed == nil {
		return nil
	}
	// The list is a copy, its array may be the cache's own.
	configs.Items = slices.DeleteFunc(slices.Clone(configs.Items), func(c v1beta1.BackupConfiguration) bool {
		return c.Namespace == s.changed.Namespace && c.Name == s.changed.Name
	})
	if s.configuration != nil && listed(s.configuration, opts) {
		configs.Items = append(configs.Items, *s.configuration.DeepCopy())
	}
	return nil
}

// listed tells whether a list by target is to have a configuration.
func listed(c *v1beta1.BackupConfiguration, opts []client.ListOption) bool {
	o := (&client.ListOptions{}).ApplyOptions(opts)
	if o.FieldSelector == nil {
		return o.Namespace == "" || o.Namespace == c.Namespace
	}
	key, exact := o.FieldSelector.RequiresExactMatch(indexTarget)
	spec, _ := c.Spec.Shipped()
	return exact && spec.Target != nil && key == target.KeyOf(spec.Target.Ref, c.Namespace)
}
