package controller

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
)

// ConcernedPods lists the UIDs of pods whose agents have other orders since an object changed; before is
// nil where it is new or gone. What agents say of themselves, their progress above all, is written to
// the same object and is no order to anybody.
func (w *World) ConcernedPods(before, after any) []string {
	switch x := after.(type) {
	case *v1beta1.BackupSession:
		old, _ := before.(*v1beta1.BackupSession)
		return changedOrders(w.Limits, assignmentsOf(old), assignmentsOf(x))
	case *v1alpha1.Repository:
		old, _ := before.(*v1alpha1.Repository)
		if work := x.Status.Work; work != nil && work.PodUID != "" && (old == nil || old.Status.Work == nil || old.Status.Work.ID != work.ID) {
			return []string{work.PodUID}
		}
	case *v1beta1.RestoreSession:
		old, _ := before.(*v1beta1.RestoreSession)
		if old != nil && toldAlike(old, x) {
			return changedOrders(w.Limits, old.Status.Assignments, x.Status.Assignments)
		}
		return w.restorePods(x)
	}
	return nil
}

func assignmentsOf(bs *v1beta1.BackupSession) []v1beta1.Assignment {
	if bs == nil || len(bs.Status.Targets) == 0 {
		return nil
	}
	return bs.Status.Targets[0].Assignments
}

// ordered is what of an assignment its agent's orders follow from.
type ordered struct {
	pod                        string
	cancelled, lost, exhausted bool
}

// changedOrders are the pods of assignments that are new, or say something else to their agents.
func changedOrders(l session.Limits, before, after []v1beta1.Assignment) []string {
	orders := func(list []v1beta1.Assignment) map[string]ordered {
		m := make(map[string]ordered, len(list))
		for _, a := range list {
			m[a.ID] = ordered{a.PodUID, a.Cancelled, a.Lost != nil, l.Exhausted(a)}
		}
		return m
	}
	old, pods := orders(before), map[string]bool{}
	for id, o := range orders(after) {
		if o.pod != "" && old[id] != o {
			pods[o.pod] = true
		}
	}
	return slices.Sorted(maps.Keys(pods))
}

// toldAlike tells whether two versions of a restore say the same to pods that have no work of their own.
func toldAlike(a, b *v1beta1.RestoreSession) bool {
	return a.Generation == b.Generation && a.Status.Phase == b.Status.Phase && a.Status.Reason == b.Status.Reason &&
		equality.Semantic.DeepEqual(a.Status.Restored, b.Status.Restored) && equality.Semantic.DeepEqual(a.Status.Pinned, b.Status.Pinned)
}

// restorePods are all pods that wait for a restore.
func (w *World) restorePods(rs *v1beta1.RestoreSession) []string {
	pods := &corev1.PodList{}
	hash := mutators.HashRestore(string(rs.UID))
	if err := w.List(context.Background(), pods, client.MatchingLabels{api.LabelRestore: hash}); err != nil {
		return assignedPods(rs.Status.Assignments)
	}
	uids := make([]string, 0, len(pods.Items))
	for i := range pods.Items {
		uids = append(uids, string(pods.Items[i].UID))
	}
	return uids
}
