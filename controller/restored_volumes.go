package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/target"
)

// volumeIDs are the identities of the volumes behind mounts, of those that outlive their pod: of a
// claim its UID, of others what they are. A part of a volume is one of its own. A claim that does not
// exist is left out.
func (w *World) volumeIDs(ctx context.Context, namespace string, places []target.Place) ([]string, error) {
	var ids []string
	for _, p := range places {
		id, err := w.volumeID(ctx, namespace, p)
		if err != nil {
			return nil, err
		}
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (w *World) volumeID(ctx context.Context, namespace string, p target.Place) (string, error) {
	id := p.Volume.Key
	if p.Volume.Claim != "" {
		pvc := &corev1.PersistentVolumeClaim{}
		if err := w.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: p.Volume.Claim}, pvc); err != nil {
			if client.IgnoreNotFound(err) == nil {
				return "", nil
			}
			return "", fmt.Errorf("read claim: %w", err)
		}
		id = string(pvc.UID)
	}
	if id != "" && p.Part != "" {
		id += "/" + p.Part
	}
	return id, nil
}

// restoredVolumes are the identities of the volumes that a session has restored.
func restoredVolumes(rs *v1beta1.RestoreSession) map[string]bool {
	done := map[string]bool{}
	for _, r := range rs.Status.Restored {
		for _, c := range r.Claims {
			done[c] = true
		}
	}
	return done
}

// intoOwn tells whether any of what is restored into a host lies in volumes that each pod has of its own,
// where they are mounted at these places.
func intoOwn(rs *v1beta1.RestoreSession, host string, places []target.Place) bool {
	return slices.ContainsFunc(rs.Status.Pinned, func(p v1beta1.PinnedSnapshot) bool {
		place, found := target.PlaceOf(places, p.Path)
		return p.Hostname == host && found && place.Own
	})
}

// ownsVolumes is the same for the pods that a template will make. They may come to several nodes, and then
// what each of these has of its own is not the same either, unless nodes are the hosts.
func ownsVolumes(rs *v1beta1.RestoreSession, template *corev1.PodTemplateSpec, mounts []corev1.VolumeMount, nodes bool) bool {
	places := target.Places(&corev1.Pod{Spec: template.Spec}, mounts)
	return slices.ContainsFunc(rs.Status.Pinned, func(p v1beta1.PinnedSnapshot) bool {
		place, found := target.PlaceOf(places, p.Path)
		return found && (place.Own || place.Node && !nodes)
	})
}

// claimsRestored tells whether a pod has volumes, and all of them were restored by the session. What a pod
// has of its own nobody else restored.
func (g *Agents) claimsRestored(ctx context.Context, rs *v1beta1.RestoreSession, id broker.Identity) (bool, error) {
	done := restoredVolumes(rs)
	if len(done) == 0 || rs.Spec.Target == nil {
		return false, nil
	}
	kind, err := target.FindRef(rs.Spec.Target.Ref)
	if err != nil {
		return false, nil //nolint:nilerr // nothing was restored into what is not supported
	}
	host, err := kind.HostFor(rs.Spec.Target.Alias, id.Pod, id.Node)
	if err != nil || intoOwn(rs, host, id.Places) {
		return false, nil //nolint:nilerr // a pod of no host has nothing to get
	}
	ids, err := g.volumeIDs(ctx, id.Namespace, id.Places)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	return !slices.ContainsFunc(ids, func(id string) bool { return !done[id] }), nil
}

// unrestored leaves of what is to be restored into a pod that which does not lie in a volume that
// another pod restored already, and perhaps uses.
func (g *Agents) unrestored(ctx context.Context, rs *v1beta1.RestoreSession, id broker.Identity, pins []v1beta1.PinnedSnapshot) ([]v1beta1.PinnedSnapshot, error) {
	done := restoredVolumes(rs)
	var out []v1beta1.PinnedSnapshot
	for _, p := range pins {
		if place, found := target.PlaceOf(id.Places, p.Path); found {
			volume, err := g.volumeID(ctx, id.Namespace, place)
			if err != nil {
				return nil, err
			}
			if done[volume] {
				continue
			}
		}
		out = append(out, p)
	}
	return out, nil
}
