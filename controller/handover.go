package controller

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// handOver leaves to other configurations, for good, what they have taken over of one: when they are
// deleted, their snapshots stay and are nobody's to thin out.
func (r *BackupConfigurations) handOver(ctx context.Context, c *v1beta1.BackupConfiguration) error {
	if !session.GaveUp(c) {
		return nil
	}
	repo, err := r.Repository(ctx, c.Spec.Repository, c.Namespace)
	if err != nil || repo == nil {
		return err
	}
	near, err := r.neighbours(ctx, c, repo)
	if err != nil {
		return err
	}
	var others []*v1beta1.BackupConfiguration
	for _, n := range near {
		if n.SharesLocation { // elsewhere it has none of these snapshots
			others = append(others, n.Configuration)
		}
	}
	session.HandOver(c, others)
	return nil
}

// beside lists the configurations that may have to hand something over to one: they must learn of it
// while it is there, however seldom they back up themselves.
func (w *World) beside(ctx context.Context, o client.Object) []client.ObjectKey {
	c, ok := o.(*v1beta1.BackupConfiguration)
	if !ok {
		return nil
	}
	repo, err := w.Repository(ctx, c.Spec.Repository, c.Namespace)
	if err != nil || repo == nil {
		return nil
	}
	near, err := w.neighbours(ctx, c, repo)
	if err != nil {
		return nil
	}
	var out []client.ObjectKey
	for _, n := range near {
		if n.SharesLocation && session.GaveUp(n.Configuration) {
			out = append(out, client.ObjectKeyFromObject(n.Configuration))
		}
	}
	return out
}

// takesOver lets through what may make a configuration the owner of more: its creation, a change of its
// spec, and a first result of a host or path. When a leader begins, all are looked at anyway.
func takesOver() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool {
			c, ok := e.Object.(*v1beta1.BackupConfiguration)
			return ok && len(c.Status.Hosts) == 0
		},
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1beta1.BackupConfiguration)
			after, is := e.ObjectNew.(*v1beta1.BackupConfiguration)
			return ok && is && (before.Generation != after.Generation || !slices.Equal(session.Has(before), session.Has(after)))
		},
	}
}
