package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/webhook"
)

// Closed proves that the namespace of a restore's target is closed: a dry-run create of a pod that asks
// for a refusal is refused by our hook. A label on the namespace alone is not in force at once
// everywhere. Where something else refuses the pod first, refused says who and why.
func (w *World) Closed(ctx context.Context, rs *v1beta1.RestoreSession) (closed bool, refused string, err error) {
	pod, err := w.probe(ctx, rs)
	if err != nil {
		return false, "", err
	}
	err = w.Create(ctx, pod, client.DryRunAll)
	switch {
	case err == nil:
		return false, "", nil
	case apierrors.IsForbidden(err) && strings.Contains(statusMessage(err), webhook.ClosedMessage):
		return true, "", nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsInternalError(err):
		return false, shorten(statusMessage(err)), nil
	}
	return false, "", fmt.Errorf("probe namespace: %w", err)
}

// probe is a pod as the restore's target will have them: what the policies of a cluster ask of pods,
// whatever that is, it meets as they do, and gets as far as our hook.
func (w *World) probe(ctx context.Context, rs *v1beta1.RestoreSession) (*corev1.Pod, error) {
	spec, _ := rs.Spec.Shipped()
	obj, kind, err := w.Workload(ctx, spec.Target.Ref, rs.Namespace)
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: targetNamespace(rs)}, Spec: probeSpec(w.Image)}
	if obj != nil {
		pod = podOf(obj, kind)
		plan, _, err := w.restorePlan(ctx, obj, kind, rs)
		if err != nil {
			return nil, err
		}
		done, reason, err := mutators.Apply(pod, plan)
		if err != nil {
			return nil, fmt.Errorf("complete probe: %w", err)
		}
		if reason.Complete() {
			pod = done
		}
	}
	// Of one name, so that the API server says the same each time.
	pod.Name = "stash-probe"
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[api.LabelProbe] = "closed"
	return pod, nil
}

// podOf is a pod of a workload before anything of ours is added.
func podOf(obj client.Object, kind target.Kind) *corev1.Pod {
	template := kind.PodTemplate(obj)
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Name, pod.GenerateName, pod.Namespace = "", "", obj.GetNamespace()
	delete(pod.Labels, api.LabelInject)
	delete(pod.Labels, api.LabelRestore)
	for _, claim := range claimTemplates(obj) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim + "-" + obj.GetName() + "-0"},
		}})
	}
	return pod
}

// probeSpec stands in for a target that does not exist yet; it passes every Pod Security level.
func probeSpec(image string) corev1.PodSpec {
	no, yes := false, true
	return corev1.PodSpec{
		AutomountServiceAccountToken: &no,
		SecurityContext:              &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers: []corev1.Container{{
			Name: "probe", Image: image,
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		}},
	}
}

func statusMessage(err error) string {
	var s apierrors.APIStatus
	if errors.As(err, &s) {
		return s.Status().Message
	}
	return ""
}
