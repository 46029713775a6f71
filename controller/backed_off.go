package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// A ReplicaSet whose pods were refused tries again later and later, in the end after 1000 s. Whatever ends
// the refusals of a restore, its success or its deletion, touches those that are short of pods: a change
// has them try at once.

// touchFor is how long after a restore ReplicaSets may still back off.
const touchFor = 20 * time.Minute

// annotationTouched makes a ReplicaSet try again; its value says for which restore.
const annotationTouched = api.Group + "/touched"

// afterwards does what is left when a restore has ended.
func (r *RestoreSessions) afterwards(ctx context.Context, o *session.Restore) error {
	rs := o.Session
	if err := r.openNamespace(ctx, targetNamespace(rs)); err != nil {
		return err
	}
	if rs.Status.Phase != v1beta1.RestoreSucceeded || rs.Spec.Target == nil || rs.Spec.Target.Ref.Kind != "Deployment" {
		return nil
	}
	if at := rs.Status.CompletionTime; at == nil || r.Now().Sub(at.Time) > touchFor {
		return nil
	}
	obj, _, err := r.Workload(ctx, rs.Spec.Target.Ref, rs.Namespace)
	if err != nil || obj == nil {
		return err
	}
	return r.touchShort(ctx, obj.GetNamespace(), string(rs.UID), func(set *appsv1.ReplicaSet) bool {
		// An older revision that was held back is on its way out: it must not come back first.
		ref := metav1.GetControllerOf(set)
		return ref.UID == obj.GetUID() && set.Spec.Template.Labels[api.LabelRestore] == rs.Status.Hash
	})
}

// afterDeletion has the pods of restores that were deleted come, which nothing refuses any more. What a
// session that is gone had for a target is not known: its hash is on the ReplicaSets.
func (r *RestoreSessions) afterDeletion(ctx context.Context) error {
	stamped := metadataOf(replicaSetKind())
	if err := r.List(ctx, stamped, client.HasLabels{api.LabelRestore}); err != nil {
		return fmt.Errorf("list ReplicaSets: %w", err)
	}
	if len(stamped.Items) == 0 {
		return nil
	}
	// From the API server: a restore that the cache does not have yet is not a deleted one.
	known, err := r.liveRestores(ctx)
	if err != nil {
		return err
	}
	short := map[string]map[string]bool{} // hashes of deleted restores, by namespace
	for i := range stamped.Items {
		hash, namespace := stamped.Items[i].Labels[api.LabelRestore], stamped.Items[i].Namespace
		if known[hash] || stamped.Items[i].Annotations[annotationTouched] == hash {
			continue
		}
		if short[namespace] == nil {
			short[namespace] = map[string]bool{}
		}
		short[namespace][hash] = true
	}
	for namespace, hashes := range short {
		for hash := range hashes {
			err := r.touchShort(ctx, namespace, hash, func(set *appsv1.ReplicaSet) bool {
				return set.Spec.Template.Labels[api.LabelRestore] == hash
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// touchShort touches, once for each mark, the ReplicaSets of Deployments that are short of pods, of those
// that are meant.
func (r *RestoreSessions) touchShort(ctx context.Context, namespace, mark string, meant func(*appsv1.ReplicaSet) bool) error {
	sets := &appsv1.ReplicaSetList{}
	if err := r.Live.List(ctx, sets, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("list ReplicaSets: %w", err)
	}
	for i := range sets.Items {
		set := &sets.Items[i]
		if metav1.GetControllerOf(set) == nil || !meant(set) {
			continue
		}
		if set.Spec.Replicas == nil || set.Status.Replicas >= *set.Spec.Replicas || set.Annotations[annotationTouched] == mark {
			continue
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotationTouched: mark}}})
		if err != nil {
			return fmt.Errorf("encode patch: %w", err)
		}
		if err := r.Patch(ctx, set, client.RawPatch(types.MergePatchType, patch)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("touch ReplicaSet: %w", err)
		}
	}
	return nil
}
