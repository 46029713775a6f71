package target

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// DaemonSet has a host for each node that it runs on, named after the node.
func DaemonSet() Kind {
	return Kind{
		GVK:       appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
		Resource:  "daemonsets",
		Short:     "ds",
		Model:     ModelSidecar,
		Supported: true,
		newObject: func() runtime.Object { return &appsv1.DaemonSet{} },
		template: func(obj runtime.Object) *corev1.PodTemplateSpec {
			if d, ok := obj.(*appsv1.DaemonSet); ok && d != nil {
				return &d.Spec.Template
			}
			return nil
		},
		hosts: func(runtime.Object, string) []string { return nil },
		hostFor: func(alias, podName, nodeName string) (string, error) {
			if nodeName == "" {
				return "", fmt.Errorf("pod %q of a DaemonSet has no node yet", podName)
			}
			return nodeHost(alias, nodeName), nil
		},
		apart: func(_ runtime.Object, _ string, v Lasting) bool { return nodeFolder(v) },
		hostCount: func(obj runtime.Object) int32 {
			if d, ok := obj.(*appsv1.DaemonSet); ok {
				return d.Status.DesiredNumberScheduled
			}
			return 0
		},
		rollout: func(obj runtime.Object) Rollout {
			d, ok := obj.(*appsv1.DaemonSet)
			if !ok {
				return Rollout{}
			}
			return Rollout{OnDelete: d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType, Pods: d.Status.DesiredNumberScheduled}
		},
	}
}
