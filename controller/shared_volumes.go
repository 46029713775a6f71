package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// sharedWith names a living pod, other than those of this restore, that mounts one of the volumes, any
// part of it.
func (r *RestoreSessions) sharedWith(ctx context.Context, pod *corev1.Pod, places []target.Place, hash string) (string, error) {
	return r.mounting(ctx, pod.Namespace, places, func(p *corev1.Pod) bool {
		restores := p.Labels[api.LabelRestore] == hash && viewPod(p, api.ContainerRestore).Injected
		return p.UID == pod.UID || restores
	})
}

// observeForeign finds, before anything changes, a pod that is not the target's and mounts what is to be
// restored: the target's own pods would be deleted, and then wait for it. Where the target has no pods,
// nothing is taken down. Concerned are those of its pods whose hosts are to be restored.
func (r *RestoreSessions) observeForeign(ctx context.Context, o *session.Restore, spec v1beta1.RestoreSessionSpec, concerned, pods []corev1.Pod) error {
	rs := o.Session
	if rs.Status.Hash != "" || !api.IsTrue(rs.Status.Conditions, api.SnapshotsPinned) {
		return nil
	}
	var places []target.Place
	for i := range concerned {
		if p := &concerned[i]; !terminal(p) {
			places = append(places, target.Places(p, spec.Target.VolumeMounts)...)
		}
	}
	if len(places) == 0 {
		return nil
	}
	var err error
	o.Foreign, err = r.mounting(ctx, targetNamespace(rs), places, func(p *corev1.Pod) bool {
		return slices.ContainsFunc(pods, func(own corev1.Pod) bool { return own.UID == p.UID })
	})
	return err
}

// mounting names a living pod that mounts one of the volumes, unless it is left out. It asks the API
// server: a cache that is behind would let two write.
func (r *RestoreSessions) mounting(ctx context.Context, namespace string, places []target.Place, leftOut func(*corev1.Pod) bool) (string, error) {
	pods := &corev1.PodList{}
	if err := r.Live.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return "", fmt.Errorf("list pods: %w", err)
	}
	ours := map[target.Lasting]bool{}
	for _, p := range places {
		ours[p.Volume] = p.Volume != target.Lasting{}
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if terminal(p) || leftOut(p) {
			continue
		}
		for j := range p.Spec.Volumes {
			if ours[target.LastingVolume(p, &p.Spec.Volumes[j])] {
				return p.Name, nil
			}
		}
	}
	return "", nil
}
