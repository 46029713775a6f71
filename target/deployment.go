package target

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Deployment has one host: one of its pods, chosen by the controller, backs up for all.
func Deployment() Kind {
	return Kind{
		GVK:       appsv1.SchemeGroupVersion.WithKind("Deployment"),
		Resource:  "deployments",
		Short:     "deploy",
		Model:     ModelSidecar,
		Supported: true,
		newObject: func() runtime.Object { return &appsv1.Deployment{} },
		template: func(obj runtime.Object) *corev1.PodTemplateSpec {
			if d, ok := obj.(*appsv1.Deployment); ok && d != nil {
				return &d.Spec.Template
			}
			return nil
		},
		rollout: func(obj runtime.Object) Rollout {
			d, ok := obj.(*appsv1.Deployment)
			if !ok {
				return Rollout{}
			}
			r := Rollout{Paused: d.Spec.Paused, Pods: 1}
			if d.Spec.Replicas != nil {
				r.Pods = *d.Spec.Replicas
			}
			return r
		},
	}
}
