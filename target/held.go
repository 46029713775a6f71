package target

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// Looks bounds the work of looking at backups for one judgement: paths, mounts and patterns are a tenant's,
// and so is the number of backups. The zero value is for a judgement that begins.
type Looks struct{ spent int }

const (
	// maxLook bounds the work of looking at one backup, about a byte of a pattern held against a byte of a
	// name each: some milliseconds.
	maxLook = 1 << 20
	// maxLooks bounds that of all backups that one judgement takes in.
	maxLooks = 1 << 22
)

// Held is ContainerMounts.Held of the template, alone.
func Held(template *corev1.PodTemplateSpec, t *v1beta1.BackupTarget) []string {
	return MountsOf(template).Held(&Looks{}, t)
}

// Held returns the names of the volumes that a backup of the workload holds, in part at least: one of its
// paths lies in the volume's mount or above it, and what it leaves out is not all of that. Of mounts
// inside of each other, a path lies in the innermost. Where the backup names no mounts, they are those of
// the containers. What is too much to look at is not held: nobody counts on what cannot be looked at.
func (c *ContainerMounts) Held(l *Looks, t *v1beta1.BackupTarget) []string {
	out := &leftOut{budget: min(maxLook, maxLooks-l.spent)}
	before := out.budget
	defer func() { l.spent += before - max(out.budget, 0) }()
	if out.read(t); out.everything || !out.spend(sizeOf(t)) {
		return nil
	}
	paths := make([]string, 0, len(t.Paths))
	for _, p := range t.Paths {
		paths = append(paths, CleanPath(p))
	}
	mounts := t.VolumeMounts
	if len(mounts) == 0 {
		mounts, _ = c.For(paths)
	}
	held, at := map[string]bool{}, map[string][]string{}
	folders := NewFolders(paths)
	for i := range mounts {
		place := path.Clean(mounts[i].MountPath)
		at[place] = append(at[place], mounts[i].Name)
		held[mounts[i].Name] = held[mounts[i].Name] || folders.Cover(place) && out.reaches(paths, place)
	}
	for _, p := range paths {
		// Each folder above is looked up by its name.
		if !out.spend(len(p) * (1 + strings.Count(p, "/")) / 64) {
			break
		}
		if inner, ok := innermost(at, p); ok && inner != p && !out.all(p, p) {
			for _, name := range at[inner] {
				held[name] = true
			}
		}
	}
	var names []string
	for i := range mounts {
		if name := mounts[i].Name; held[name] {
			names, held[name] = append(names, name), false
		}
	}
	return names
}

// sizeOf is how much there is to read of a backup's paths and mounts.
func sizeOf(t *v1beta1.BackupTarget) int {
	n := 0
	for _, p := range t.Paths {
		n += len(p)
	}
	for i := range t.VolumeMounts {
		n += len(t.VolumeMounts[i].MountPath)
	}
	return n
}

// innermost is the deepest of the places that an absolute, clean path is or lies in.
func innermost(at map[string][]string, p string) (string, bool) {
	for len(p) > 1 {
		if _, ok := at[p]; ok {
			return p, true
		}
		p = p[:max(0, strings.LastIndexByte(p, '/'))]
	}
	_, ok := at["/"]
	return "/", ok
}
