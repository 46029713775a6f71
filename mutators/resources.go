package mutators

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// resources are the user's over the defaults. Requests are always given, since an autoscaler that
// computes utilisation gives up on a pod with a container that has none. Limits are given where the
// namespace's quota counts them, and in a pod of Guaranteed QoS, which one container without them
// would cost its class.
func resources(pod *corev1.PodSpec, ns Namespace, defaults, user corev1.ResourceRequirements) corev1.ResourceRequirements {
	out := corev1.ResourceRequirements{
		Requests: user.Requests.DeepCopy(), Limits: user.Limits.DeepCopy(), Claims: user.Claims,
	}
	if podLevel(pod) {
		// The pod as a whole is accounted; a request of ours would have to fit in by subtraction.
		return out
	}
	guaranteed := guaranteed(pod)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		limit, userLimited := out.Limits[name]
		limited := userLimited
		request, requested := out.Requests[name]
		if !limited && (guaranteed || ns.LimitsRequired) {
			limit, limited = defaults.Limits[name], true
			if requested && (guaranteed || request.Cmp(limit) > 0) {
				limit = request
			}
			set(&out.Limits, name, limit)
		}
		switch {
		case guaranteed && (!requested || !userLimited):
			set(&out.Requests, name, limit)
		case requested:
		default:
			request = defaults.Requests[name]
			if limited && limit.Cmp(request) < 0 {
				request = limit
			}
			set(&out.Requests, name, request)
		}
	}
	return out
}

// guaranteed tells whether every container of the pod has limits for CPU and memory that its
// requests equal.
func guaranteed(pod *corev1.PodSpec) bool {
	for _, list := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range list {
			r := &list[i].Resources
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				limit, ok := r.Limits[name]
				if !ok || limit.IsZero() {
					return false
				}
				if request, ok := r.Requests[name]; ok && request.Cmp(limit) != 0 {
					return false
				}
			}
		}
	}
	return len(pod.Containers) > 0
}

func podLevel(pod *corev1.PodSpec) bool {
	return pod.Resources != nil && len(pod.Resources.Requests)+len(pod.Resources.Limits) > 0
}

func set(list *corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[name] = q
}
