package target

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// Held is ContainerMounts.Held of the template.
func Held(template *corev1.PodTemplateSpec, t *v1beta1.BackupTarget) []string {
	return MountsOf(template).Held(t)
}

// Held returns the names of the volumes that a backup of the workload holds, in part at least: one of its
// paths lies in the volume's mount or above it, and its patterns do not leave all of that out. Of mounts
// inside of each other, a path lies in the innermost. Where the backup names no mounts, they are those of
// the containers.
func (c *ContainerMounts) Held(t *v1beta1.BackupTarget) []string {
	paths := make([]string, 0, len(t.Paths))
	for _, p := range t.Paths {
		paths = append(paths, CleanPath(p))
	}
	mounts := t.VolumeMounts
	if len(mounts) == 0 {
		mounts, _ = c.For(paths)
	}
	out, held := excluding(t.Exclude), map[string]bool{}
	folders, at := NewFolders(paths), map[string][]string{}
	for i := range mounts {
		place := path.Clean(mounts[i].MountPath)
		at[place] = append(at[place], mounts[i].Name)
		held[mounts[i].Name] = held[mounts[i].Name] || folders.Cover(place) && !out.all(place)
	}
	for _, p := range paths {
		if inner, ok := innermost(at, p); ok && inner != p && !out.all(p) {
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

// anything stands for the name of whatever lies in a folder.
const anything = "/"

// maxMatched bounds how many names of patterns are held against names of folders: both are a tenant's.
const maxMatched = 1 << 22

// excludes are patterns of restic's that leave files out.
type excludes struct {
	patterns [][]string
	rooted   []bool
	names    int
	// keeps tells that a pattern takes something in again, which may be a part of anything.
	keeps bool
	// matched is how much was compared so far.
	matched int
}

func excluding(patterns []string) *excludes {
	e := &excludes{}
	for _, p := range patterns {
		parts := split(p)
		e.patterns, e.rooted = append(e.patterns, parts), append(e.rooted, strings.HasPrefix(p, "/"))
		e.names += len(parts)
		e.keeps = e.keeps || strings.HasPrefix(p, "!")
	}
	return e
}

// all tells whether the patterns leave a folder out, or all that is in it. Where that is too much to find
// out, they do: nobody counts on what cannot be looked at.
func (e *excludes) all(folder string) bool {
	if e.keeps || e.names == 0 {
		return false
	}
	names := append(split(folder), anything)
	if e.matched += e.names * len(names); e.matched > maxMatched {
		return true
	}
	for i, p := range e.patterns {
		if matches(p, names, e.rooted[i]) {
			return true
		}
	}
	return false
}

func split(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}

// matches tells whether a pattern matches a path or a folder above it, as restic's do: from the root where
// it begins with a slash, else anywhere; ** is any number of folders.
func matches(pattern, names []string, rooted bool) bool {
	// at are the places in names that what was read of the pattern can end at.
	at := make([]bool, len(names)+1)
	for i := range at {
		at[i] = i == 0 || !rooted
	}
	for _, want := range pattern {
		next := make([]bool, len(at))
		for i, is := range at {
			switch {
			case want == "**":
				next[i] = is || i > 0 && next[i-1]
			case is && i < len(names) && named(want, names[i]):
				next[i+1] = true
			}
		}
		at = next
	}
	return len(pattern) > 0 && slices.Contains(at, true)
}

func named(pattern, name string) bool {
	if name == anything {
		return pattern == "*"
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
