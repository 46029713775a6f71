package target

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Apart tells whether each host of a workload has all that is mounted for itself, in volumes that outlive
// its pods: claims of a StatefulSet's volumeClaimTemplates, or folders of a DaemonSet's nodes. Only there
// one host can be restored while another goes on with what it has.
func Apart(obj runtime.Object, mounts []corev1.VolumeMount) bool {
	kind, known := Of(obj)
	if !known {
		return false
	}
	pod := &corev1.Pod{Spec: *kind.PodTemplate(obj).Spec.DeepCopy()}
	pod.Name = "pod-0"
	if kind.claims != nil {
		for _, name := range kind.claims(obj) {
			pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name + "-" + pod.Name},
			}})
		}
	}
	return ApartIn(obj, mounts, pod.Name, Places(pod, mounts))
}

// ApartIn is Apart for one pod of the workload, by the places that its container has.
func ApartIn(obj runtime.Object, mounts []corev1.VolumeMount, pod string, places []Place) bool {
	kind, known := Of(obj)
	return known && kind.apart != nil && len(mounts) > 0 && !slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool {
		at := CleanPath(m.MountPath)
		i := slices.IndexFunc(places, func(p Place) bool { return p.Path == at })
		return i < 0 || places[i].Own || !kind.apart(obj, pod, places[i].Volume)
	})
}

// ownClaim tells whether a volume is the claim that a StatefulSet made for a pod.
func ownClaim(claims []string, pod string, v Lasting) bool {
	return slices.ContainsFunc(claims, func(name string) bool { return v.Claim == name+"-"+pod })
}

// nodeFolder tells whether a volume is a folder of the pod's node.
func nodeFolder(v Lasting) bool { return strings.HasPrefix(v.Key, keyHostPath+":") }
