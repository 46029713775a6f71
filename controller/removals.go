package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/target"
)

// removals tells of stamps that a pod template no longer has. Mostly the webhook drops them, with a
// rollout of the user's; it writes nothing, and nobody else knows that there was one.
func (w *World) removals(k target.Kind) handler.EventHandler {
	return handler.Funcs{UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		w.tellRemovals(k, e.ObjectOld, e.ObjectNew)
	}}
}

func (w *World) tellRemovals(k target.Kind, before, now client.Object) {
	older, newer := k.PodTemplate(before), k.PodTemplate(now)
	if older == nil || newer == nil {
		return
	}
	for _, stamp := range []struct{ label, reason, note string }{
		{api.LabelInject, "Sidecar Deletion Succeeded", "new pods are created without the backup sidecar"},
		{api.LabelRestore, "Init-Container Deletion Succeeded", "new pods are created without the restore init-container"},
	} {
		if older.Labels[stamp.label] != "" && newer.Labels[stamp.label] == "" {
			w.event(now, corev1.EventTypeNormal, stamp.reason, stamp.note)
		}
	}
}

// tellFailure tells of a stamp for backups that could not be set or taken back.
func (w *World) tellFailure(obj client.Object, labels map[string]*string, err error) {
	value, ours := labels[api.LabelInject]
	if !ours || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return // of a workload that is gone, or is another one by now
	}
	reason := "Sidecar Injection Failed"
	if value == nil {
		reason = "Sidecar Deletion Failed"
	}
	w.event(obj, corev1.EventTypeWarning, reason, shorten(err.Error()))
}
