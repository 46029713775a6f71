package target

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Covers tells whether p is dir or lies below it; both are absolute and clean.
func Covers(dir, p string) bool {
	return dir == "/" || strings.HasPrefix(p, dir) && (len(p) == len(dir) || p[len(dir)] == '/')
}

// MountsFor derives from the containers' own mounts those that a backup of the paths needs. Each
// path gets the mount with the longest mountPath that covers it, that of the first container among
// equals, and the data volumes that the same container mounts below the path, which would otherwise
// be missing without a word. Only name, mountPath and subPath are taken. A path that no container
// mounts is returned in missing. Mounts with a subPathExpr do not count: they depend on the
// environment of their container.
func MountsFor(template *corev1.PodTemplateSpec, paths []string) (mounts []corev1.VolumeMount, missing []string) {
	return MountsOf(template).For(paths)
}

// For does what MountsFor does, for the template that c was made of.
func (c *ContainerMounts) For(paths []string) (mounts []corev1.VolumeMount, missing []string) {
	at := map[string]corev1.VolumeMount{}
	for _, p := range paths {
		wanted, ok := c.wanted(p, at)
		if !ok {
			missing = append(missing, p)
			continue
		}
		for _, m := range wanted {
			at[m.MountPath] = m
			mounts = append(mounts, m)
		}
	}
	return mounts, missing
}

// ContainerMounts are the mounts of all containers that can be repeated in another one. Who writes the
// workload decides how many there are: not all are looked at for each path.
type ContainerMounts struct {
	// first is the first mount at a place, and its container.
	first map[string]place
	// containers are their data volumes.
	containers []dataMounts
}

type place struct {
	container int
	mount     corev1.VolumeMount
}

// dataMounts are the data volumes that a container mounts.
type dataMounts struct {
	mounts []corev1.VolumeMount
	// at are their numbers by place.
	at     map[string][]int
	places Folders
}

// MountsOf prepares the mounts of a template's containers, for who asks more than once.
func MountsOf(template *corev1.PodTemplateSpec) *ContainerMounts {
	out := &ContainerMounts{first: map[string]place{}}
	if template == nil {
		return out
	}
	filled := Filled(template)
	for i := range template.Spec.Containers {
		data := dataMounts{at: map[string][]int{}}
		var places []string
		for _, m := range template.Spec.Containers[i].VolumeMounts {
			if m.SubPathExpr != "" {
				continue
			}
			m = corev1.VolumeMount{Name: m.Name, MountPath: path.Clean(m.MountPath), SubPath: m.SubPath}
			if _, there := out.first[m.MountPath]; !there {
				out.first[m.MountPath] = place{i, m}
			}
			if !filled[m.Name] {
				data.at[m.MountPath] = append(data.at[m.MountPath], len(data.mounts))
				data.mounts, places = append(data.mounts, m), append(places, m.MountPath)
			}
		}
		data.places = NewFolders(places)
		out.containers = append(out.containers, data)
	}
	return out
}

// wanted returns what a backup of a path needs beside what is mounted already. It is false if the path
// lies in no mount, or if something else has one of the places.
func (c *ContainerMounts) wanted(p string, mounted map[string]corev1.VolumeMount) ([]corev1.VolumeMount, bool) {
	best, ok := c.covering(p)
	if !ok {
		return nil, false
	}
	of := &c.containers[best.container]
	var below []int
	for _, at := range of.places.Inside(p) {
		if at != p {
			below = append(below, of.at[at]...)
		}
	}
	slices.Sort(below)
	var out []corev1.VolumeMount
	chosen := map[string]corev1.VolumeMount{}
	choose := func(m corev1.VolumeMount) bool {
		there, is := mounted[m.MountPath]
		if !is {
			there, is = chosen[m.MountPath]
		}
		if !is {
			chosen[m.MountPath] = m
			out = append(out, m)
		}
		return !is || there.Name == m.Name && there.SubPath == m.SubPath
	}
	ok = choose(best.mount)
	for _, i := range below {
		ok = ok && choose(of.mounts[i])
	}
	return out, ok
}

// covering returns the mount with the longest mountPath that covers a path.
func (c *ContainerMounts) covering(p string) (place, bool) {
	if len(p) > MaxPath {
		return place{}, false
	}
	for p != "" && p != "/" {
		if m, ok := c.first[p]; ok {
			return m, true
		}
		p = p[:max(0, strings.LastIndexByte(p, '/'))]
	}
	m, ok := c.first["/"]
	return m, ok
}

// Filled returns the names of the volumes that Kubernetes fills itself: they hold no data of the
// application. Claims of volumeClaimTemplates are not among the template's volumes and hold data.
func Filled(template *corev1.PodTemplateSpec) map[string]bool {
	out := map[string]bool{}
	for i := range template.Spec.Volumes {
		if v := &template.Spec.Volumes[i]; v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil || v.Image != nil {
			out[v.Name] = true
		}
	}
	return out
}
