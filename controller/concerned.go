package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
)

// ConcernedPods lists the UIDs of pods whose agents may have other orders since an object changed.
func (w *World) ConcernedPods(o any) []string {
	switch x := o.(type) {
	case *v1beta1.BackupSession:
		var pods []string
		for _, t := range x.Status.Targets {
			pods = append(pods, assignedPods(t.Assignments)...)
		}
		return pods
	case *v1alpha1.Repository:
		if x.Status.Work != nil && x.Status.Work.PodUID != "" {
			return []string{x.Status.Work.PodUID}
		}
	case *v1beta1.RestoreSession:
		pods := &corev1.PodList{}
		hash := mutators.HashRestore(string(x.UID))
		if err := w.List(context.Background(), pods, client.MatchingLabels{api.LabelRestore: hash}); err != nil {
			return assignedPods(x.Status.Assignments)
		}
		var uids []string
		for i := range pods.Items {
			uids = append(uids, string(pods.Items[i].UID))
		}
		return uids
	}
	return nil
}
