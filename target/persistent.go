package target

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

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

// PersistentVolumes returns the names of the volumes whose data outlives the pods, without those that the
// containers have as raw devices only: there are no files on them that a backup could read. Volumes are all of
// a workload, in order: those that its template does not have are claims of volumeClaimTemplates.
func PersistentVolumes(template *corev1.PodTemplateSpec, volumes []string) []string {
	if template == nil {
		return nil
	}
	passing := make(map[string]bool, len(template.Spec.Volumes))
	for i := range template.Spec.Volumes {
		passing[template.Spec.Volumes[i].Name] = !Persistent(&template.Spec.Volumes[i])
	}
	devices := devices(template)
	var out []string
	for _, name := range volumes {
		if !passing[name] && !devices[name] {
			out = append(out, name)
		}
	}
	return out
}

// devices are the volumes that containers have as raw devices, and none has mounted.
func devices(template *corev1.PodTemplateSpec) map[string]bool {
	out := map[string]bool{}
	containers := slices.Concat(template.Spec.InitContainers, template.Spec.Containers)
	for i := range containers {
		for _, d := range containers[i].VolumeDevices {
			out[d.Name] = true
		}
	}
	for i := range containers {
		for _, m := range containers[i].VolumeMounts {
			delete(out, m.Name)
		}
	}
	return out
}

// ReadOnly tells whether pods may only read a volume: what is in it is for those to back up who write it.
func ReadOnly(v *corev1.Volume) bool {
	s := &v.VolumeSource
	for _, readOnly := range []bool{
		s.PersistentVolumeClaim != nil && s.PersistentVolumeClaim.ReadOnly,
		s.NFS != nil && s.NFS.ReadOnly,
		s.ISCSI != nil && s.ISCSI.ReadOnly,
		s.FC != nil && s.FC.ReadOnly,
		s.RBD != nil && s.RBD.ReadOnly,
		s.CephFS != nil && s.CephFS.ReadOnly,
		s.Glusterfs != nil && s.Glusterfs.ReadOnly,
		s.AWSElasticBlockStore != nil && s.AWSElasticBlockStore.ReadOnly,
		s.GCEPersistentDisk != nil && s.GCEPersistentDisk.ReadOnly,
		s.AzureDisk != nil && s.AzureDisk.ReadOnly != nil && *s.AzureDisk.ReadOnly,
		s.AzureFile != nil && s.AzureFile.ReadOnly,
		s.Cinder != nil && s.Cinder.ReadOnly,
		s.Quobyte != nil && s.Quobyte.ReadOnly,
		s.PortworxVolume != nil && s.PortworxVolume.ReadOnly,
		s.ScaleIO != nil && s.ScaleIO.ReadOnly,
		s.StorageOS != nil && s.StorageOS.ReadOnly,
		s.FlexVolume != nil && s.FlexVolume.ReadOnly,
	} {
		if readOnly {
			return true
		}
	}
	return false
}

// PersistentMounts returns where containers have the volumes whose data outlives the pods, each volume
// once: as a whole where a container has it as a whole, else each part of it. Of mounts inside of each
// other the outer one's path is enough, so that paths may be fewer than mounts. What cannot be said is
// returned as a sentence.
func PersistentMounts(template *corev1.PodTemplateSpec, volumes []string) (paths []string, mounts []corev1.VolumeMount, problem string) {
	all := partsOf(template)
	at := map[string]string{}
	for _, name := range PersistentVolumes(template, volumes) {
		found := all[name]
		if len(found) == 0 {
			return nil, nil, fmt.Sprintf("no container mounts volume %q where its path can be taken from (one with subPathExpr cannot be repeated)", name)
		}
		for _, m := range found {
			if detail := CheckMountPath(m.MountPath); detail != "" {
				return nil, nil, fmt.Sprintf("the path %s of volume %q %s", m.MountPath, name, detail)
			}
			if other, taken := at[m.MountPath]; taken {
				return nil, nil, fmt.Sprintf("the volumes %q and %q have the same path %s in two containers", other, name, m.MountPath)
			}
			at[m.MountPath] = name
			mounts = append(mounts, m)
		}
	}
	outer := map[string]bool{}
	for _, p := range NewFolders(slices.Collect(maps.Keys(at))).Outer() {
		outer[p] = true
	}
	for _, m := range mounts {
		if outer[m.MountPath] {
			paths = append(paths, m.MountPath)
		}
	}
	return paths, mounts, ""
}

// partsOf returns, by volume, the first mount of the whole of it, or else one of each of its parts.
func partsOf(template *corev1.PodTemplateSpec) map[string][]corev1.VolumeMount {
	out := map[string][]corev1.VolumeMount{}
	if template == nil {
		return out
	}
	whole := map[string]bool{}
	for i := range template.Spec.Containers {
		for _, m := range template.Spec.Containers[i].VolumeMounts {
			if m.SubPathExpr != "" || whole[m.Name] {
				continue
			}
			clean := corev1.VolumeMount{Name: m.Name, MountPath: path.Clean(m.MountPath)}
			if m.SubPath == "" {
				whole[m.Name] = true
				out[m.Name] = []corev1.VolumeMount{clean}
				continue
			}
			clean.SubPath = path.Clean(m.SubPath)
			out[m.Name] = append(out[m.Name], clean)
		}
	}
	for name, parts := range out {
		out[name] = outerParts(parts)
	}
	return out
}

// outerParts leaves out the parts of a volume that lie in one that comes before them.
func outerParts(parts []corev1.VolumeMount) []corev1.VolumeMount {
	if len(parts) < 2 {
		return parts
	}
	before := map[string]bool{}
	return slices.DeleteFunc(parts, func(m corev1.VolumeMount) bool {
		if len(m.SubPath) > MaxPath {
			return false // the kernel refuses it
		}
		for p := "/" + m.SubPath; p != ""; p = p[:strings.LastIndexByte(p, '/')] {
			if before[p] {
				return true
			}
		}
		before["/"+m.SubPath] = true
		return false
	})
}
