package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
)

// FinishedRestores are the restore labels that pods still carry and that mean nothing any more: of
// restores that succeeded or were deleted. They are left out of the hook's selector; a label that
// is in neither list is denied, so that a list that is behind errs closed.
func (w *World) FinishedRestores(ctx context.Context) ([]string, error) {
	active := map[string]bool{}
	list := &v1beta1.RestoreSessionList{}
	// From the API server: a restore that the cache does not have yet must not count as deleted.
	if err := w.Live.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list RestoreSessions: %w", err)
	}
	for i := range list.Items {
		if rs := &list.Items[i]; rs.DeletionTimestamp == nil && rs.Status.Phase != v1beta1.RestoreSucceeded {
			active[mutators.HashRestore(string(rs.UID))] = true
		}
	}
	var out []string
	add := func(hash string) {
		if hash != "" && !active[hash] && !slices.Contains(out, hash) {
			out = append(out, hash)
		}
	}
	for _, k := range target.Workloads() {
		err := w.eachWorkload(ctx, k, func(o client.Object) {
			if t := k.PodTemplate(o); t != nil {
				add(t.Labels[api.LabelRestore])
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", k.Resource, err)
		}
	}
	pods := &corev1.PodList{}
	if err := w.List(ctx, pods, client.HasLabels{api.LabelRestore}); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	for i := range pods.Items {
		add(pods.Items[i].Labels[api.LabelRestore])
	}
	slices.Sort(out)
	return out, nil
}
