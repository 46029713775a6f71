package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/mutators"
)

// unasked is what is said where the API server would create a pod without asking the webhook.
const unasked = "the API server would start a pod without the sidecar, since it gets no answer of Stash's webhook; " +
	"that is normal for a moment after Stash was started (stash doctor says whether it lasts)"

// trial tells why a new pod of a workload would not come up with its sidecar; empty: it would. First
// what would become of one that is complete; then whether the API server has a bare one completed, by
// whichever replica answers it: a leader that was just started may lead before any does.
func (r *Workloads) trial(ctx context.Context, obj client.Object, plan mutators.Plan) (string, error) {
	if why, err := r.dryRun(ctx, obj, plan); err != nil || why != "" {
		return why, err
	}
	pod := r.bare(obj, plan)
	if why, err := r.try(ctx, pod); err != nil || why != "" {
		return why, err
	}
	if !viewPod(pod, api.ContainerSidecar).Injected {
		return unasked, nil
	}
	return "", nil
}

// bare is a pod of a workload as its controller would create it. The workload itself stands in for the
// ReplicaSet.
func (r *Workloads) bare(obj client.Object, plan mutators.Plan) *corev1.Pod {
	pod := podOf(obj, r.Kind)
	pod.Name = dryRunName
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[api.LabelInject] = plan.Hash()
	if restore := r.Kind.PodTemplate(obj).Labels[api.LabelRestore]; restore != "" {
		pod.Labels[api.LabelRestore] = restore
	}
	ref := r.Kind.Ref("", obj.GetName())
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name, UID: obj.GetUID(), Controller: new(true),
	}}
	return pod
}

// dryRunName is one name, so that the API server says the same each time.
const dryRunName = "stash-dry-run"

// dryRun tells why a pod that is completed by a plan, or by none, would be refused: failing open does
// not save a pod that Pod Security or a quota refuses because of our container.
func (r *Workloads) dryRun(ctx context.Context, obj client.Object, plan mutators.Plan) (string, error) {
	pod := podOf(obj, r.Kind)
	pod.Name = dryRunName
	if plan.Empty() {
		return r.try(ctx, pod)
	}
	done, reason, err := mutators.Apply(pod, plan)
	if err != nil {
		return "", fmt.Errorf("complete pod: %w", err)
	}
	if !reason.Complete() {
		return "the pod cannot be completed: " + string(reason), nil
	}
	return r.try(ctx, done)
}

// try has the API server say what would become of a pod; it then is what it would be.
func (r *Workloads) try(ctx context.Context, pod *corev1.Pod) (string, error) {
	err := r.Create(ctx, pod, client.DryRunAll)
	switch {
	case err == nil:
		return "", nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return "a pod with the sidecar would be refused: " + shorten(err.Error()), nil
	}
	return "", fmt.Errorf("try a pod with the sidecar: %w", err)
}
