package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

func typesUID(s string) types.UID { return types.UID(s) }

func targetNamespace(rs *v1beta1.RestoreSession) string {
	if rs.Spec.Target != nil && rs.Spec.Target.Ref.Namespace != "" {
		return rs.Spec.Target.Ref.Namespace
	}
	return rs.Namespace
}

// labelNamespace sets or removes a label of a namespace.
func (w *World) labelNamespace(ctx context.Context, name, label string, value *string) error {
	ns := &corev1.Namespace{}
	if err := w.Get(ctx, client.ObjectKey{Name: name}, ns); err != nil {
		return client.IgnoreNotFound(err)
	}
	if old, has := ns.Labels[label]; has == (value != nil) && (value == nil || old == *value) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{label: value}}})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	if err := w.Patch(ctx, ns, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("label namespace: %w", err)
	}
	return nil
}

// closeNamespace sends pods and workloads of a namespace through the fail-closed hook.
func (r *RestoreSessions) closeNamespace(ctx context.Context, namespace string) error {
	yes := "true"
	return r.labelNamespace(ctx, namespace, api.LabelRestoring, &yes)
}

// openNamespaces opens the namespaces that no restore needs closed any more: which one a session that
// is gone has closed is not known, since its target may have been elsewhere.
func (r *RestoreSessions) openNamespaces(ctx context.Context) error {
	closed := &corev1.NamespaceList{}
	if err := r.List(ctx, closed, client.HasLabels{api.LabelRestoring}); err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	for i := range closed.Items {
		if err := r.openNamespace(ctx, closed.Items[i].Name); err != nil {
			return err
		}
	}
	return nil
}

// openNamespace opens a namespace again, when no restore of a target in it needs it closed.
func (r *RestoreSessions) openNamespace(ctx context.Context, namespace string) error {
	ns := &corev1.Namespace{}
	if err := r.Get(ctx, client.ObjectKey{Name: namespace}, ns); err != nil {
		return client.IgnoreNotFound(err)
	}
	if _, closed := ns.Labels[api.LabelRestoring]; !closed {
		return nil
	}
	list := &v1beta1.RestoreSessionList{}
	if err := r.List(ctx, list); err != nil {
		return fmt.Errorf("list RestoreSessions: %w", err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(rs v1beta1.RestoreSession) bool { return targetNamespace(&rs) != namespace })
	slices.SortFunc(list.Items, func(a, b v1beta1.RestoreSession) int { return older(&a, &b) })
	byTarget := map[string][]v1beta1.RestoreSession{}
	for _, rs := range list.Items {
		if rs.Spec.Target != nil && !rs.Spec.Target.Ref.IsClaim() { // no pod is kept off a claim
			key := target.KeyOf(rs.Spec.Target.Ref, rs.Namespace)
			byTarget[key] = append(byTarget[key], rs)
		}
	}
	for _, restores := range byTarget {
		// One that is about to close the namespace counts too: the cache may be behind.
		if holder(restores) != nil {
			return nil
		}
	}
	return r.labelNamespace(ctx, namespace, api.LabelRestoring, nil)
}

// holder returns the restore that holds a target, of all restores of it, oldest first: backups and
// retention are skipped and pods are not let pass without it. It holds from the choice of its
// snapshots until it succeeds; a failed one holds on, so that no pod starts on missing data, until
// it is deleted or a newer one has succeeded.
func holder(restores []v1beta1.RestoreSession) *v1beta1.RestoreSession {
	for i := len(restores) - 1; i >= 0; i-- {
		rs := &restores[i]
		if rs.DeletionTimestamp != nil {
			continue
		}
		switch rs.Status.Phase {
		case v1beta1.RestoreSucceeded:
			return nil
		case v1beta1.RestoreFailed:
			if rs.Status.Hash != "" {
				return rs
			}
		case v1beta1.RestoreInvalid:
		default:
			if api.IsTrue(rs.Status.Conditions, api.SnapshotsPinned) {
				return rs
			}
		}
	}
	return nil
}

// barring returns the restore without which no pod of a target starts, of all restores of it, oldest
// first; nil: they start. It is the newest one that pods can carry the stamp of: one that waits behind
// it, with its snapshots chosen, opens no door that the first has closed.
func barring(restores []v1beta1.RestoreSession) *v1beta1.RestoreSession {
	for i := len(restores) - 1; i >= 0; i-- {
		rs := &restores[i]
		switch {
		case rs.DeletionTimestamp != nil || rs.Status.Phase == v1beta1.RestoreInvalid:
		case rs.Status.Phase == v1beta1.RestoreSucceeded:
			return nil
		case rs.Status.Hash != "":
			return rs
		}
	}
	return nil
}

// stamp asks for pods with the restore init-container by the label on the workload's template.
func (r *RestoreSessions) stamp(ctx context.Context, rs *v1beta1.RestoreSession) error {
	spec, _ := rs.Spec.Shipped()
	if err := r.ensureCA(ctx, targetNamespace(rs)); err != nil {
		return err
	}
	obj, _, err := r.Workload(ctx, spec.Target.Ref, rs.Namespace)
	if err != nil || obj == nil {
		return err
	}
	return r.labelTemplate(ctx, obj, map[string]*string{api.LabelRestore: &rs.Status.Hash})
}

// labelTemplate sets labels on a workload's pod template; nil removes one.
func (w *World) labelTemplate(ctx context.Context, obj client.Object, labels map[string]*string) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": obj.GetUID()},
		"spec":     map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": labels}}},
	})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	written, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("label pod template: a %T is not an object", obj)
	}
	if err := w.Patch(ctx, written, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("stash")); err != nil {
		w.tellFailure(obj, labels, err)
		return fmt.Errorf("label pod template: %w", err)
	}
	return nil
}
