package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/mutators"
)

// evictAgain is how long nothing is evicted after a replacement came up without a sidecar, too.
const evictAgain = 30 * time.Minute

// evictionOf asks to remove exactly this pod, within the limits of its disruption budgets.
func evictionOf(pod *corev1.Pod, uid types.UID) *policyv1.Eviction {
	return &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}},
	}
}

// evict replaces a pod that was created while nobody could complete it. Disruption budgets hold.
func (r *Workloads) evict(ctx context.Context, obj client.Object, pod *corev1.Pod, plan mutators.Plan, key, message string) (verdict, error) {
	for _, v := range pod.Spec.Volumes {
		if v.EmptyDir != nil && slices.ContainsFunc(plan.Container().VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name }) && !strings.HasPrefix(v.Name, "stash-") {
			return verdict{reason: "WaitingForPods", message: message + fmt.Sprintf("; pod %q is not replaced, since its emptyDir %q would be lost", pod.Name, v.Name)}, nil
		}
	}
	now := r.Now()
	if r.Rollouts.useless(key, pod.CreationTimestamp.Time, now) {
		return verdict{
			reason: "SidecarInjectionFailed", after: evictAgain,
			message: message + fmt.Sprintf("; pod %q was created after another one was replaced and has no sidecar either: the API server does not reach Stash's webhook", pod.Name),
		}, nil
	}
	if why, err := r.dryRun(ctx, obj, plan); err != nil || why != "" {
		return verdict{reason: "SidecarInjectionFailed", message: message + "; " + why, after: time.Minute}, err
	}
	uid := pod.UID
	err := r.SubResource("eviction").Create(ctx, pod, evictionOf(pod, uid))
	if err != nil && !apierrors.IsTooManyRequests(err) && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return verdict{}, fmt.Errorf("evict pod: %w", err)
	}
	if err == nil {
		r.Rollouts.evicted(key, now)
		r.event(obj, corev1.EventTypeNormal, "Pod Replaced", fmt.Sprintf("pod %s was created while Stash could not complete it; it is replaced", pod.Name))
	}
	return verdict{reason: "ReplacingPods", message: message + fmt.Sprintf("; pod %q is being replaced", pod.Name), after: 5 * time.Second}, nil
}
