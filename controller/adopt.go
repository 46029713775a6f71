package controller

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// adopt makes a session that a person wrote go with its configuration, as those of the schedule do. It
// returns the session as it is then.
func (r *BackupSessions) adopt(ctx context.Context, bs *v1beta1.BackupSession) (*v1beta1.BackupSession, error) {
	c := &v1beta1.BackupConfiguration{}
	key := client.ObjectKey{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}
	if err := r.Get(ctx, key, c); err != nil {
		return bs, client.IgnoreNotFound(err) //nolint:wrapcheck // it names the object
	}
	owned := slices.ContainsFunc(bs.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == c.UID })
	if owned || c.DeletionTimestamp != nil {
		return bs, nil
	}
	ref := configurationRef(c)
	if metav1.GetControllerOfNoCopy(bs) != nil {
		ref.Controller = nil // there can be one only
	}
	next := bs.DeepCopy()
	next.OwnerReferences = append(next.OwnerReferences, ref)
	if err := r.Patch(ctx, next, client.MergeFromWithOptions(bs, client.MergeFromWithOptimisticLock{})); err != nil {
		return bs, fmt.Errorf("make the configuration the owner of its BackupSession: %w", err)
	}
	return next, nil
}
