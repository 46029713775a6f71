package broker

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// maxHostname is the kernel's limit.
const maxHostname = 64

// maxLabel is kubelet's: it cuts longer names off.
const maxLabel = 63

// hostnameOf is the kernel's hostname in a pod as far as the pod tells it, for agents of a build that
// does not say it: it knows neither a kernel that calls its node otherwise than Kubernetes does nor
// names that are made fully qualified.
func hostnameOf(pod *corev1.Pod) string {
	name := pod.Name
	switch {
	case pod.Spec.HostNetwork:
		return pod.Spec.NodeName
	case pod.Spec.Hostname != "":
		name = pod.Spec.Hostname
	}
	if len(name) > maxLabel {
		name = strings.TrimRight(name[:maxLabel], "-.")
	}
	return name
}
