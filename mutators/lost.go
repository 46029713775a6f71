package mutators

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/target"
)

// Lost names a volume of a pod that the plan backs up and that goes with the pod, as target.Lost
// does; empty where there is none. Claims are the names of volumes that a StatefulSet puts in place
// of those of its template.
func (p Plan) Lost(pod *corev1.PodSpec, claims ...string) string {
	for i := range pod.Volumes {
		v := &pod.Volumes[i]
		if !slices.Contains(p.needs, v.Name) || slices.Contains(claims, v.Name) {
			continue
		}
		if lost := target.Lost(v); lost != "" {
			return lost
		}
	}
	return ""
}
