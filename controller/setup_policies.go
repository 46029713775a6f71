package controller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

func setupProtectionPolicies(mgr ctrl.Manager, w *World, configurations *WebhookConfigurations) error {
	all, specs := mapped(w.keysOfPolicies), builder.WithPredicates(predicate.GenerationChangedPredicate{})
	b := builder.ControllerManagedBy(mgr).Named("protectionpolicy").
		For(&v1beta1.ProtectionPolicy{}, specs).
		Watches(&corev1.Namespace{}, all, builder.WithPredicates(redescribed())).
		Watches(&v1beta1.BackupConfiguration{}, all, builder.WithPredicates(predicate.Or(existence(), rephased()))).
		Watches(&v1alpha1.Repository{}, all, specs).
		Watches(&v1beta1.BackupBlueprint{}, all, specs).
		Watches(&v1beta1.BackupTemplate{}, all, specs)
	for _, k := range target.Workloads() {
		if obj, ok := k.New().(client.Object); ok {
			b = b.Watches(obj, all, builder.WithPredicates(predicate.Or(existence(), predicate.LabelChangedPredicate{})))
		}
	}
	return b.WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(&ProtectionPolicies{World: w, Changed: configurations.Poke})
}

// redescribed lets namespaces pass whose labels changed, other than those that are ours, or the
// annotations that hold for all of their workloads. Others write annotations of theirs all the time.
func redescribed() predicate.Predicate {
	return predicate.Funcs{
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return !sameForeign(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) ||
				slices.ContainsFunc([]string{api.AnnotationBlueprint, api.AnnotationExemption}, func(key string) bool {
					return e.ObjectOld.GetAnnotations()[key] != e.ObjectNew.GetAnnotations()[key]
				})
		},
	}
}

// rephased lets configurations pass whose phase changed.
func rephased() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, isBefore := e.ObjectOld.(*v1beta1.BackupConfiguration)
			now, isNow := e.ObjectNew.(*v1beta1.BackupConfiguration)
			return isBefore && isNow && before.Status.Phase != now.Status.Phase
		},
	}
}
