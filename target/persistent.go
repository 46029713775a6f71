package target

import (
	"fmt"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Persistent tells whether the data in a pod's volume outlives the pod and belongs to the application:
// claims, and shares and disks on the network. What a node has in a folder is the node's; what a
// driver mounts inline lives as long as the pod.
func Persistent(v *corev1.Volume) bool {
	s := &v.VolumeSource
	switch {
	case s.PersistentVolumeClaim != nil, s.NFS != nil, s.ISCSI != nil, s.FC != nil, s.RBD != nil, s.CephFS != nil, s.Glusterfs != nil,
		s.AWSElasticBlockStore != nil, s.GCEPersistentDisk != nil, s.AzureDisk != nil, s.AzureFile != nil, s.VsphereVolume != nil,
		s.Cinder != nil, s.Flocker != nil, s.Quobyte != nil, s.PortworxVolume != nil, s.ScaleIO != nil, s.StorageOS != nil,
		s.PhotonPersistentDisk != nil, s.FlexVolume != nil:
		return true
	}
	return false
}

// PersistentVolumes returns the names of the volumes whose data outlives the pods. Volumes are all of a
// workload, in order: those that its template does not have are claims of volumeClaimTemplates.
func PersistentVolumes(template *corev1.PodTemplateSpec, volumes []string) []string {
	if template == nil {
		return nil
	}
	var out []string
	for _, name := range volumes {
		i := slices.IndexFunc(template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
		if i < 0 || Persistent(&template.Spec.Volumes[i]) {
			out = append(out, name)
		}
	}
	return out
}

// PersistentMounts returns where containers have the volumes whose data outlives the pods, each volume
// once: as a whole where a container has it as a whole, else each part of it. Of mounts inside of each
// other the outer one's path is enough, so that paths may be fewer than mounts. What cannot be said is
// returned as a sentence.
func PersistentMounts(template *corev1.PodTemplateSpec, volumes []string) (paths []string, mounts []corev1.VolumeMount, problem string) {
	for _, name := range PersistentVolumes(template, volumes) {
		found := mountsOf(template, name)
		if len(found) == 0 {
			return nil, nil, fmt.Sprintf("no container mounts volume %q where its path can be taken from (one with subPathExpr cannot be repeated)", name)
		}
		for _, m := range found {
			if detail := CheckMountPath(m.MountPath); detail != "" {
				return nil, nil, fmt.Sprintf("the path %s of volume %q %s", m.MountPath, name, detail)
			}
			if i := slices.IndexFunc(mounts, func(o corev1.VolumeMount) bool { return o.MountPath == m.MountPath }); i >= 0 {
				return nil, nil, fmt.Sprintf("the volumes %q and %q have the same path %s in two containers", mounts[i].Name, name, m.MountPath)
			}
			mounts = append(mounts, m)
		}
	}
	for _, m := range mounts {
		inner := slices.ContainsFunc(mounts, func(o corev1.VolumeMount) bool { return o.MountPath != m.MountPath && Covers(o.MountPath, m.MountPath) })
		if !inner {
			paths = append(paths, m.MountPath)
		}
	}
	return paths, mounts, ""
}

// mountsOf returns the first mount of the whole volume, or else one of each of its parts.
func mountsOf(template *corev1.PodTemplateSpec, volume string) []corev1.VolumeMount {
	var parts []corev1.VolumeMount
	for i := range template.Spec.Containers {
		for _, m := range template.Spec.Containers[i].VolumeMounts {
			if m.Name != volume || m.SubPathExpr != "" {
				continue
			}
			clean := corev1.VolumeMount{Name: m.Name, MountPath: path.Clean(m.MountPath)}
			if m.SubPath == "" {
				return []corev1.VolumeMount{clean}
			}
			clean.SubPath = path.Clean(m.SubPath)
			if !slices.ContainsFunc(parts, func(o corev1.VolumeMount) bool { return Covers("/"+o.SubPath, "/"+clean.SubPath) }) {
				parts = append(parts, clean)
			}
		}
	}
	return parts
}
