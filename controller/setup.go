package controller

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// Setup adds all controllers of the leader to the manager.
func Setup(mgr ctrl.Manager, w *World, schedule *Schedule, configurations *WebhookConfigurations) error {
	for _, add := range []func() error{
		func() error { return setupBackupConfigurations(mgr, w, schedule) },
		func() error { return setupBackupSessions(mgr, w) },
		func() error { return setupRestoreSessions(mgr, w, configurations) },
		func() error { return setupRepositories(mgr, w) },
		func() error { return setupWorkloads(mgr, w) },
		func() error { return setupAuthorities(mgr, w) },
		func() error { return setupNamespaces(mgr, w) },
		func() error { return setupProtectionPolicies(mgr, w, configurations) },
	} {
		if err := add(); err != nil {
			return fmt.Errorf("set up controllers: %w", err)
		}
	}
	if err := mgr.Add(schedule); err != nil {
		return fmt.Errorf("set up schedule: %w", err)
	}
	if err := mgr.Add(configurations); err != nil {
		return fmt.Errorf("set up webhook configurations: %w", err)
	}
	return nil
}

// mapped makes a handler of a function from an object to the keys to reconcile.
func mapped(fn func(ctx context.Context, o client.Object) []client.ObjectKey) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		keys := fn(ctx, o)
		out := make([]reconcile.Request, 0, len(keys))
		for _, k := range keys {
			out = append(out, reconcile.Request{NamespacedName: k})
		}
		return out
	})
}

func setupBackupConfigurations(mgr ctrl.Manager, w *World, schedule *Schedule) error {
	b := builder.ControllerManagedBy(mgr).Named("backupconfiguration").
		For(&v1beta1.BackupConfiguration{}).
		Watches(&v1beta1.BackupSession{}, mapped(func(_ context.Context, o client.Object) []client.ObjectKey {
			bs, ok := o.(*v1beta1.BackupSession)
			if !ok {
				return nil
			}
			return []client.ObjectKey{{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}}
		})).
		Watches(&v1beta1.BackupConfiguration{}, mapped(w.beside), builder.WithPredicates(takesOver())).
		Watches(&v1alpha1.Repository{}, mapped(w.usersOfRepository)).
		Watches(&corev1.Namespace{}, mapped(w.configsReaching), builder.WithPredicates(relabelled())).
		Watches(&v1beta1.BackupBlueprint{}, mapped(w.configsOfBlueprint(v1beta1.KindBackupBlueprint))).
		Watches(&v1beta1.BackupTemplate{}, mapped(w.configsOfBlueprint(v1beta1.KindBackupTemplate)))
	for _, k := range target.Workloads() {
		if obj, ok := k.New().(client.Object); ok {
			b = b.Watches(obj, mapped(w.configsOfWorkload(k)), builder.WithPredicates(existence()))
		}
	}
	return b.WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(&BackupConfigurations{World: w, Schedule: schedule})
}

// existence lets creations and deletions pass.
func existence() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
}

func setupBackupSessions(mgr ctrl.Manager, w *World) error {
	return builder.ControllerManagedBy(mgr).Named("backupsession").
		For(&v1beta1.BackupSession{}).
		Watches(&corev1.Pod{}, mapped(func(ctx context.Context, o client.Object) []client.ObjectKey {
			list := &v1beta1.BackupSessionList{}
			if err := w.List(ctx, list, client.MatchingFields{indexPod: string(o.GetUID())}); err != nil {
				return nil
			}
			return append(keysOf(list.Items), w.backupOfJob(ctx, o)...)
		})).
		Watches(&batchv1.Job{}, mapped(w.backupOfJob)).
		Watches(&v1alpha1.Repository{}, mapped(w.sessionsOfRepository)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8}).
		Complete(&BackupSessions{World: w})
}

func setupRestoreSessions(mgr ctrl.Manager, w *World, configurations *WebhookConfigurations) error {
	b := builder.ControllerManagedBy(mgr).Named("restoresession").
		For(&v1beta1.RestoreSession{}).
		Watches(&corev1.Pod{}, mapped(func(ctx context.Context, o client.Object) []client.ObjectKey {
			return append(w.restoresByHash(ctx, o.GetLabels()[api.LabelRestore]), w.restoreOfJob(ctx, o)...)
		})).
		Watches(&batchv1.Job{}, mapped(w.restoreOfJob)).
		Watches(&v1alpha1.Repository{}, mapped(func(ctx context.Context, o client.Object) []client.ObjectKey {
			list := &v1beta1.RestoreSessionList{}
			if err := w.List(ctx, list, client.MatchingFields{indexRepository: o.GetNamespace() + "/" + o.GetName()}); err != nil {
				return nil
			}
			return keysOf(list.Items)
		}))
	for _, k := range target.Workloads() {
		if obj, ok := k.New().(client.Object); ok {
			b = b.Watches(obj, mapped(func(ctx context.Context, o client.Object) []client.ObjectKey {
				list, err := w.RestoresOf(ctx, k.Ref("", o.GetName()), o.GetNamespace())
				if err != nil {
					return nil
				}
				return keysOf(list)
			}), builder.WithPredicates(existence()))
		}
	}
	return b.WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(&RestoreSessions{World: w, Probe: w.Closed, Ended: configurations.Poke})
}

func setupRepositories(mgr ctrl.Manager, w *World) error {
	return builder.ControllerManagedBy(mgr).Named("repository").
		For(&v1alpha1.Repository{}).
		Watches(&v1beta1.BackupConfiguration{}, mapped(func(_ context.Context, o client.Object) []client.ObjectKey {
			c, ok := o.(*v1beta1.BackupConfiguration)
			if !ok {
				return nil
			}
			return repositoryKeys(c.Spec.Repository, c.Namespace)
		})).
		Watches(&v1beta1.BackupSession{}, mapped(w.repositoryOfSession)).
		Watches(&v1beta1.RestoreSession{}, mapped(func(_ context.Context, o client.Object) []client.ObjectKey {
			rs, ok := o.(*v1beta1.RestoreSession)
			if !ok {
				return nil
			}
			return repositoryKeys(rs.Spec.Repository, rs.Namespace)
		})).
		Watches(&batchv1.Job{}, mapped(w.repositoriesIn)).
		Watches(&corev1.Pod{}, mapped(func(ctx context.Context, o client.Object) []client.ObjectKey {
			if o.GetLabels()[api.LabelComponent] != api.ComponentWorker {
				return nil
			}
			return w.repositoriesIn(ctx, o)
		})).
		// One after the other: what is busy at a location is decided from what was written before.
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(&Repositories{World: w})
}

func setupWorkloads(mgr ctrl.Manager, w *World) error {
	rollouts := &Rollouts{}
	for _, k := range target.Workloads() {
		obj, ok := k.New().(client.Object)
		if !ok {
			continue
		}
		err := builder.ControllerManagedBy(mgr).Named("workload-"+k.Resource).
			For(obj, builder.WithPredicates(predicate.Or(existence(), predicate.LabelChangedPredicate{}))).
			Watches(obj, w.removals(k)).
			Watches(&v1beta1.BackupConfiguration{}, mapped(func(_ context.Context, o client.Object) []client.ObjectKey {
				c, ok := o.(*v1beta1.BackupConfiguration)
				if !ok || c.Spec.Target == nil || c.Spec.Target.Ref.Kind != k.String() {
					return nil
				}
				return []client.ObjectKey{{Namespace: target.Namespace(c.Spec.Target.Ref, c.Namespace), Name: c.Spec.Target.Ref.Name}}
			})).
			Watches(&corev1.Pod{}, mapped(w.workloadOfPod(k))).
			Watches(&v1beta1.BackupBlueprint{}, mapped(w.annotated(k))).
			Watches(&v1beta1.BackupTemplate{}, mapped(w.annotated(k))).
			Watches(&corev1.Namespace{}, mapped(w.workloadsIn(k)), builder.WithPredicates(redefaulted())).
			Watches(&v1beta1.ProtectionPolicy{}, mapped(w.selectedBy(k)), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
			WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
			Complete(&Workloads{World: w, Kind: k, Rollouts: rollouts})
		if err != nil {
			return fmt.Errorf("set up %s: %w", k, err)
		}
	}
	return nil
}
