package target

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Covers tells whether p is dir or lies below it; both are absolute and clean.
func Covers(dir, p string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// MountsFor derives from the containers' own mounts those that a backup of the paths needs. Each
// path gets the mount with the longest mountPath that covers it, that of the first container among
// equals, and the data volumes that the same container mounts below the path, which would otherwise
// be missing without a word. Only name, mountPath and subPath are taken. A path that no container
// mounts is returned in missing. Mounts with a subPathExpr do not count: they depend on the
// environment of their container.
func MountsFor(template *corev1.PodTemplateSpec, paths []string) (mounts []corev1.VolumeMount, missing []string) {
	if template == nil {
		return nil, paths
	}
	for _, p := range paths {
		c, best := covering(template, p)
		if c == nil {
			missing = append(missing, p)
			continue
		}
		wanted := []corev1.VolumeMount{*best}
		for i := range c.VolumeMounts {
			m := &c.VolumeMounts[i]
			below := path.Clean(m.MountPath)
			if m.SubPathExpr == "" && below != p && Covers(p, below) && HoldsData(template, m.Name) {
				wanted = append(wanted, *m)
			}
		}
		if !add(&mounts, wanted) {
			missing = append(missing, p)
		}
	}
	return mounts, missing
}

// covering returns the mount that a path lies in, and its container.
func covering(template *corev1.PodTemplateSpec, p string) (*corev1.Container, *corev1.VolumeMount) {
	var container *corev1.Container
	var best *corev1.VolumeMount
	for i := range template.Spec.Containers {
		c := &template.Spec.Containers[i]
		for j := range c.VolumeMounts {
			m := &c.VolumeMounts[j]
			if m.SubPathExpr != "" || !Covers(path.Clean(m.MountPath), p) {
				continue
			}
			if best == nil || len(path.Clean(m.MountPath)) > len(path.Clean(best.MountPath)) {
				container, best = c, m
			}
		}
	}
	return container, best
}

// HoldsData tells whether a pod's volume holds data of the application; false for those that
// Kubernetes fills itself. Claims of volumeClaimTemplates are
// not among the template's volumes and hold data.
func HoldsData(template *corev1.PodTemplateSpec, name string) bool {
	i := slices.IndexFunc(template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
	if i < 0 {
		return true
	}
	v := &template.Spec.Volumes[i]
	return v.ConfigMap == nil && v.Secret == nil && v.DownwardAPI == nil && v.Projected == nil && v.Image == nil
}

// add appends the mounts that are not there yet. It adds nothing and returns false if another volume
// is mounted at one of their places.
func add(mounts *[]corev1.VolumeMount, wanted []corev1.VolumeMount) bool {
	out := *mounts
	for _, w := range wanted {
		m := corev1.VolumeMount{Name: w.Name, MountPath: path.Clean(w.MountPath), SubPath: w.SubPath}
		i := slices.IndexFunc(out, func(o corev1.VolumeMount) bool { return o.MountPath == m.MountPath })
		switch {
		case i < 0:
			out = append(slices.Clip(out), m)
		case out[i].Name != m.Name || out[i].SubPath != m.SubPath:
			return false
		}
	}
	*mounts = out
	return true
}
