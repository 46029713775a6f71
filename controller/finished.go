package controller

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
)

// maxFinished bounds the finished restores in the hook's selector. Anybody can write the label, and a
// configuration that is too large to be stored would keep all hooks from following, CA and all.
const maxFinished = 1000

// FinishedRestores are the restore labels that pods still carry and that mean nothing any more: of
// restores that succeeded or were deleted. They are left out of the hook's selector; a label that
// is in neither list is denied, so that a list that is behind errs closed. Of more than maxFinished
// those of restores that are still there come first, the newest first of all: nobody can make these
// up. The others are looked up when a pod with them is created, and mean nothing then either.
func (w *World) FinishedRestores(ctx context.Context) ([]string, error) {
	active, succeeded, err := w.restoreHashes(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	add := func(hash string) {
		if mutators.IsHash(hash) && !active[hash] {
			found[hash] = true
		}
	}
	for _, k := range target.Workloads() {
		err := w.eachWorkload(ctx, k, func(o client.Object) {
			if t := k.PodTemplate(o); t != nil {
				add(t.Labels[api.LabelRestore])
			}
		}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", k.Resource, err)
		}
	}
	pods := &corev1.PodList{}
	if err := w.List(ctx, pods, client.HasLabels{api.LabelRestore}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	for i := range pods.Items {
		add(pods.Items[i].Labels[api.LabelRestore])
	}
	out := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		// The zero time, of one that was deleted, is the oldest.
		return cmp.Or(succeeded[b].Compare(succeeded[a]), cmp.Compare(a, b))
	})
	out = out[:min(len(out), maxFinished)]
	slices.Sort(out)
	return out, nil
}

// restoreHashes are the labels of restores that are not to be left out, and of those that succeeded with
// the time when they were created.
func (w *World) restoreHashes(ctx context.Context) (active map[string]bool, succeeded map[string]time.Time, err error) {
	list := &v1beta1.RestoreSessionList{}
	// From the API server: a restore that the cache does not have yet must not count as deleted.
	if err := w.Live.List(ctx, list); err != nil {
		return nil, nil, fmt.Errorf("list RestoreSessions: %w", err)
	}
	active, succeeded = map[string]bool{}, map[string]time.Time{}
	for i := range list.Items {
		rs := &list.Items[i]
		switch hash := mutators.HashRestore(string(rs.UID)); {
		case rs.DeletionTimestamp != nil:
		case rs.Status.Phase == v1beta1.RestoreSucceeded:
			succeeded[hash] = rs.CreationTimestamp.Time
		default:
			active[hash] = true
		}
	}
	return active, succeeded, nil
}
