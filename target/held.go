package target

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// Held returns the names of the volumes that a backup of a workload with this pod template holds, in part
// at least: one of its paths lies in the volume's mount or above it, and its patterns do not leave all of
// that out. Where it names no mounts, they are those of the containers.
func Held(template *corev1.PodTemplateSpec, t *v1beta1.BackupTarget) []string {
	paths := make([]string, 0, len(t.Paths))
	for _, p := range t.Paths {
		paths = append(paths, CleanPath(p))
	}
	mounts := t.VolumeMounts
	if len(mounts) == 0 {
		mounts, _ = MountsFor(template, paths)
	}
	var out []string
	for i := range mounts {
		place := path.Clean(mounts[i].MountPath)
		if slices.ContainsFunc(paths, func(p string) bool { return holds(mounts, place, p, t.Exclude) }) {
			out = append(out, mounts[i].Name)
		}
	}
	return out
}

// holds tells whether a path reaches into what is mounted at a place.
func holds(mounts []corev1.VolumeMount, place, p string, exclude []string) bool {
	if Covers(p, place) {
		return !excludesAll(exclude, place)
	}
	if !Covers(place, p) {
		return false
	}
	// Of mounts inside of each other, a path lies in the innermost.
	inner := slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool {
		other := path.Clean(m.MountPath)
		return other != place && Covers(place, other) && Covers(other, p)
	})
	return !inner && !excludesAll(exclude, p)
}

// anything stands for the name of whatever lies in a folder.
const anything = "/"

// excludesAll tells whether patterns of restic's leave a folder out, or all that is in it. A pattern that
// takes something in again may be about a part of it.
func excludesAll(patterns []string, folder string) bool {
	if slices.ContainsFunc(patterns, func(p string) bool { return strings.HasPrefix(p, "!") }) {
		return false
	}
	names := append(split(folder), anything)
	return slices.ContainsFunc(patterns, func(p string) bool {
		return matches(split(p), names, strings.HasPrefix(p, "/"))
	})
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
