package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
)

// Namespaces sends the workloads of namespaces that name a blueprint through the webhook, by a label:
// annotations cannot be selected.
type Namespaces struct{ *World }

// Reconcile labels one namespace.
func (r *Namespaces) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	ns := &corev1.Namespace{}
	if err := r.Get(ctx, req.NamespacedName, ns); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) //nolint:wrapcheck // it names the namespace
	}
	if ns.DeletionTimestamp != nil || len(protection.NamespaceDefault(ns.Annotations)) == 0 || target.Excluded(ns.Name, r.Namespace) != "" {
		return ctrl.Result{}, nil
	}
	yes := "true"
	return ctrl.Result{}, r.labelNamespace(ctx, ns.Name, api.LabelManaged, &yes)
}

func setupNamespaces(mgr ctrl.Manager, w *World) error {
	asking := predicate.NewPredicateFuncs(func(o client.Object) bool { return len(protection.NamespaceDefault(o.GetAnnotations())) > 0 })
	return builder.ControllerManagedBy(mgr).Named("namespace").
		For(&corev1.Namespace{}, builder.WithPredicates(asking)).
		Complete(&Namespaces{World: w})
}

// redefaulted lets namespaces pass that may have another default: by their own annotation, or by labels
// that policies select.
func redefaulted() predicate.Predicate {
	changed := redescribed()
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc:  changed.Update,
	}
}

// workloadsIn lists the workloads of a kind in a namespace.
func (w *World) workloadsIn(k target.Kind) func(context.Context, client.Object) []client.ObjectKey {
	return func(ctx context.Context, o client.Object) []client.ObjectKey {
		var out []client.ObjectKey
		err := w.eachWorkload(ctx, k, func(each client.Object) { out = append(out, client.ObjectKeyFromObject(each)) },
			client.InNamespace(o.GetName()), client.UnsafeDisableDeepCopy)
		if err != nil {
			return nil
		}
		return out
	}
}

// selectedBy lists the workloads of a kind that a policy with action Default selects, or did.
func (w *World) selectedBy(k target.Kind) func(context.Context, client.Object) []client.ObjectKey {
	return func(ctx context.Context, o client.Object) []client.ObjectKey {
		p, ok := o.(*v1beta1.ProtectionPolicy)
		if !ok || p.Spec.Action != v1beta1.ActionDefault {
			return nil
		}
		policy, err := protection.New(p)
		if err != nil {
			return nil
		}
		in, err := w.inventory(ctx)
		if err != nil {
			return nil
		}
		var out []client.ObjectKey
		err = w.objects(ctx, k, in, func(each judgedObject) {
			if policy.Selects(&each.Object, w.Namespace) {
				out = append(out, client.ObjectKeyFromObject(each.object))
			}
		})
		if err != nil {
			return nil
		}
		return out
	}
}

// NamespaceDefault implements webhook.Policies.
func (a *Admission) NamespaceDefault(ctx context.Context, ns *corev1.Namespace) (blueprint.Problems, []string, error) {
	at := "metadata.annotations[" + api.AnnotationBlueprint + "]"
	var problems blueprint.Problems
	var warnings []string
	if why := target.Excluded(ns.Name, a.Namespace); why != "" {
		return nil, []string{why}, nil
	}
	for _, name := range protection.NamespaceDefault(ns.Annotations) {
		in := blueprint.Input{
			Target:     blueprint.Target{Annotations: map[string]string{api.AnnotationBlueprint: name}},
			Blueprints: map[string]*v1beta1.BackupBlueprint{}, Templates: map[string]*v1beta1.BackupTemplate{},
		}
		if err := a.blueprints(ctx, &in); err != nil {
			return nil, nil, err
		}
		spec := in.Spec(name)
		if spec == nil {
			warnings = append(warnings, fmt.Sprintf("there is no BackupBlueprint or BackupTemplate %q yet: nothing is backed up by it until there is", name))
			continue
		}
		if ok, err := blueprint.Admits(spec, ns.Name, ns.Labels); err != nil || !ok {
			problems = append(problems, blueprint.Problem{
				Reason: blueprint.ReasonNamespaceNotAllowed, Field: at, Value: name,
				Detail: fmt.Sprintf("blueprint %q may not be used from namespace %q: its spec.allowedNamespaces leaves it out", name, ns.Name),
			})
		}
	}
	return problems, warnings, nil
}
