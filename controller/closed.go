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
	"github.com/seed-731df569/stash/webhook"
)

// Closed proves that a namespace is closed: a dry-run create of a pod that asks for a refusal is
// refused by our hook. A label on the namespace alone is not in force at once everywhere.
func (w *World) Closed(ctx context.Context, namespace string) (bool, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "stash-probe-", Labels: map[string]string{api.LabelProbe: "closed"}},
		Spec:       probeSpec(w.Image),
	}
	err := w.Create(ctx, pod, client.DryRunAll)
	switch {
	case err == nil:
		return false, nil
	case apierrors.IsForbidden(err) && strings.Contains(statusMessage(err), webhook.ClosedMessage):
		return true, nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		// Pod Security or a quota refused the probe before or after our hook did not.
		return false, nil
	}
	return false, fmt.Errorf("probe namespace: %w", err)
}

// probeSpec passes every Pod Security level, so that only our hook refuses it.
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
