package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// heldBy names the restore that holds a target, or one that shares its volumes: a claim and a workload that
// mounts it. What either is given back, a backup of the other would find half of. Empty: none does.
func (w *World) heldBy(ctx context.Context, ref v1beta1.TargetRef, own string) (string, error) {
	restores, err := w.RestoresOf(ctx, ref, own)
	if err != nil {
		return "", err
	}
	if rs := holder(restores); rs != nil {
		return rs.Name, nil
	}
	list := &v1beta1.RestoreSessionList{}
	if err := w.List(ctx, list, client.MatchingFields{indexTargetIn: target.Namespace(ref, own)}); err != nil {
		return "", fmt.Errorf("list RestoreSessions: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1beta1.RestoreSession) int { return older(&a, &b) })
	others := map[string][]v1beta1.RestoreSession{}
	for _, rs := range list.Items {
		if rs.Spec.Target.Ref.IsClaim() != ref.IsClaim() {
			key := target.KeyOf(rs.Spec.Target.Ref, rs.Namespace)
			others[key] = append(others[key], rs)
		}
	}
	for _, restores := range others {
		rs := holder(restores)
		if rs == nil {
			continue
		}
		if shared, err := w.shareClaim(ctx, ref, own, rs.Spec.Target.Ref, rs.Namespace); err != nil || shared {
			return rs.Name, err
		}
	}
	return "", nil
}

// shareClaim tells whether one of two targets is a claim that the other, a workload, mounts.
func (w *World) shareClaim(ctx context.Context, a v1beta1.TargetRef, aOwn string, b v1beta1.TargetRef, bOwn string) (bool, error) {
	if !a.IsClaim() {
		a, aOwn, b, bOwn = b, bOwn, a, aOwn
	}
	if _, err := target.FindRef(b); err != nil || target.Namespace(a, aOwn) != target.Namespace(b, bOwn) {
		return false, nil //nolint:nilerr // what is not supported has no pods
	}
	obj, kind, err := w.Workload(ctx, b, bOwn)
	if err != nil || obj == nil {
		return false, err
	}
	return mountsClaim(obj, kind, a.Name), nil
}

// mountsClaim tells whether the pods of a workload mount a claim: by its name, or as one that was made from a
// StatefulSet's volumeClaimTemplates.
func mountsClaim(obj client.Object, kind target.Kind, claim string) bool {
	for _, v := range kind.PodTemplate(obj).Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim {
			return true
		}
	}
	sts, ok := obj.(*appsv1.StatefulSet)
	if !ok {
		return false
	}
	return slices.ContainsFunc(claimTemplates(sts), func(template string) bool {
		ordinal, found := strings.CutPrefix(claim, template+"-"+sts.Name+"-")
		_, err := target.Ordinal("x-" + ordinal)
		return found && err == nil
	})
}
