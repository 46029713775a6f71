package target

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// StatefulSet has a host for each of its ordinals, whatever number they start at.
func StatefulSet() Kind {
	return Kind{
		GVK:       appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
		Resource:  "statefulsets",
		Short:     "sts",
		Model:     ModelSidecar,
		Supported: true,
		newObject: func() runtime.Object { return &appsv1.StatefulSet{} },
		template: func(obj runtime.Object) *corev1.PodTemplateSpec {
			if s, ok := obj.(*appsv1.StatefulSet); ok && s != nil {
				return &s.Spec.Template
			}
			return nil
		},
		claims: statefulSetClaims,
		hosts:  statefulSetHosts,
		apart: func(obj runtime.Object, pod string, v Lasting) bool {
			return ownClaim(statefulSetClaims(obj), pod, v)
		},
		hostFor: func(alias, podName, _ string) (string, error) {
			ordinal, err := Ordinal(podName)
			if err != nil {
				return "", err
			}
			return ordinalHost(alias, ordinal), nil
		},
		hostCount: statefulSetReplicas,
		rollout: func(obj runtime.Object) Rollout {
			s, ok := obj.(*appsv1.StatefulSet)
			if !ok {
				return Rollout{}
			}
			r := Rollout{OnDelete: s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType, Pods: statefulSetReplicas(s)}
			if u := s.Spec.UpdateStrategy.RollingUpdate; u != nil && u.Partition != nil && !r.OnDelete {
				r.Partition = *u.Partition
			}
			return r
		},
	}
}

func statefulSetClaims(obj runtime.Object) []string {
	s, ok := obj.(*appsv1.StatefulSet)
	if !ok {
		return nil
	}
	var names []string
	for i := range s.Spec.VolumeClaimTemplates {
		names = append(names, s.Spec.VolumeClaimTemplates[i].Name)
	}
	return names
}

func statefulSetReplicas(obj runtime.Object) int32 {
	s, ok := obj.(*appsv1.StatefulSet)
	if !ok {
		return 0
	}
	if s.Spec.Replicas == nil {
		return 1
	}
	return *s.Spec.Replicas
}

func statefulSetHosts(obj runtime.Object, alias string) []string {
	s, ok := obj.(*appsv1.StatefulSet)
	if !ok {
		return nil
	}
	var start int32
	if s.Spec.Ordinals != nil {
		start = s.Spec.Ordinals.Start
	}
	var hosts []string
	for i := range min(statefulSetReplicas(s), MaxHosts) {
		hosts = append(hosts, ordinalHost(alias, start+i))
	}
	return hosts
}
