package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// evictionOf asks to remove exactly this pod, within the limits of its disruption budgets.
func evictionOf(pod *corev1.Pod, uid types.UID) *policyv1.Eviction {
	return &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}},
	}
}

// replace evicts a pod that was created while nobody could complete it. Disruption budgets hold: one
// that allows no eviction now is asked again.
func (r *Workloads) replace(ctx context.Context, obj client.Object, name string) error {
	pod, err := r.podOf(ctx, obj, name)
	if err != nil || pod == nil {
		return err
	}
	err = r.SubResource("eviction").Create(ctx, pod, evictionOf(pod, pod.UID))
	switch {
	case apierrors.IsTooManyRequests(err), apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return nil
	case err != nil:
		return fmt.Errorf("evict pod: %w", err)
	}
	r.Log.Info("a pod that was created without its sidecar is evicted", "namespace", pod.Namespace, "pod", name,
		"workload", r.Kind.String()+"/"+obj.GetName())
	r.event(obj, corev1.EventTypeNormal, "Pod Replaced", fmt.Sprintf("pod %s was created while Stash could not complete it; it is replaced", name))
	return nil
}

// free deletes a pod that waits for a sidecar that nobody wants any more. It never came up: no
// disruption budget counts it.
func (r *Workloads) free(ctx context.Context, obj client.Object, name string) error {
	pod, err := r.podOf(ctx, obj, name)
	if err != nil || pod == nil {
		return err
	}
	uid := pod.UID
	err = r.Delete(ctx, pod, client.Preconditions{UID: &uid})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod: %w", err)
	}
	return nil
}

// podOf finds a pod of a workload by its name; nil where it is gone.
func (r *Workloads) podOf(ctx context.Context, obj client.Object, name string) (*corev1.Pod, error) {
	pods, err := r.PodsOf(ctx, obj)
	if err != nil {
		return nil, err
	}
	for i := range pods {
		if pods[i].Name == name {
			return &pods[i], nil
		}
	}
	return nil, nil //nolint:nilnil // absence is an answer
}
