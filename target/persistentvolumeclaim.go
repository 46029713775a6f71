package target

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seed-731df569/stash/api"
)

// PersistentVolumeClaim has one host, and no pods: a Job mounts it. Its pod template is what of that Job's
// is decided by the claim: its one volume.
func PersistentVolumeClaim() Kind {
	return Kind{
		GVK:       corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
		Resource:  "persistentvolumeclaims",
		Short:     "pvc",
		Model:     ModelJob,
		Supported: true,
		newObject: func() runtime.Object { return &corev1.PersistentVolumeClaim{} },
		template: func(obj runtime.Object) *corev1.PodTemplateSpec {
			if claim, ok := obj.(*corev1.PersistentVolumeClaim); ok && claim != nil {
				return ofClaim(claim.Name)
			}
			return nil
		},
	}
}

func ofClaim(name string) *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{
		Name: api.VolumeTarget, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		},
	}}}}
}
