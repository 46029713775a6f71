package blueprint

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/target"
)

// pathsAndMounts returns what of the target is backed up, or why that cannot be said.
func (a *asked) pathsAndMounts(t *Target) ([]string, []corev1.VolumeMount, Problems) {
	if a.source != "" && len(a.paths) == 0 {
		return a.persistent(t)
	}
	problems := a.required(t)
	paths, bad := a.checkPaths()
	problems = append(problems, bad...)
	if !a.hasMounts {
		if !a.mayLackMounts() || len(paths) == 0 {
			return paths, nil, problems
		}
		mounts, missing := target.MountsFor(t.Template, paths)
		for _, p := range missing {
			problems = append(problems, Problem{
				Reason: ReasonPathNotMounted, Field: annotation(a.pathsKey), Value: p,
				Detail: fmt.Sprintf("no container mounts a volume at %s or above it (one with subPathExpr cannot be repeated): write %s, for example %q", p, api.AnnotationVolumeMounts, example(t).mounts),
			})
		}
		return paths, mounts, problems
	}
	mounts, bad := parseMounts(a.mounts, t)
	problems = append(problems, bad...)
	for _, p := range paths {
		reached := slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool { return target.Covers(m.MountPath, p) })
		// A mount that could not be read may have been the one.
		if !reached && len(bad) == 0 {
			problems = append(problems, Problem{
				Reason: ReasonPathNotMounted, Field: annotation(a.pathsKey), Value: p,
				Detail: fmt.Sprintf("lies in none of the mounts (%s): mount its volume in %s, for example %q", places(mounts), api.AnnotationVolumeMounts, example(t).mounts),
			})
		}
	}
	return paths, mounts, problems
}

// mayLackMounts tells whether mounts are taken from the containers where they are not given.
func (a *asked) mayLackMounts() bool { return a.draft || a.source != "" }

// persistent returns all of the target that outlives its pods, for a default: nobody said what is to be
// backed up.
func (a *asked) persistent(t *Target) ([]string, []corev1.VolumeMount, Problems) {
	paths, mounts, why := target.PersistentMounts(t.Template, t.Volumes)
	switch {
	case why != "":
		why += ": write what is to be backed up"
	case len(paths) == 0:
		why = "the pods have no volume that outlives them: write what else is to be backed up"
	default:
		return paths, mounts, nil
	}
	return nil, nil, Problems{{
		Reason: ReasonMissingAnnotation, Field: annotation(api.AnnotationTargetPaths),
		Detail: fmt.Sprintf("%s, for example %s: %q and %s: %q", why, api.AnnotationTargetPaths, example(t).paths, api.AnnotationVolumeMounts, example(t).mounts),
	}}
}

// required returns the annotations that are missing, with examples from the pod template.
func (a *asked) required(t *Target) Problems {
	var problems Problems
	if len(a.paths) == 0 {
		problems = append(problems, Problem{
			Reason: ReasonMissingAnnotation, Field: annotation(api.AnnotationTargetPaths),
			Detail: fmt.Sprintf("a %s needs the paths to back up; for example %s: %q", t.Kind, api.AnnotationTargetPaths, example(t).paths),
		})
	}
	if !a.hasMounts && !a.mayLackMounts() {
		problems = append(problems, Problem{
			Reason: ReasonMissingAnnotation, Field: annotation(api.AnnotationVolumeMounts),
			Detail: fmt.Sprintf("a %s needs the volumes that hold the paths, as <volume>:<mountPath>; for example %s: %q", t.Kind, api.AnnotationVolumeMounts, example(t).mounts),
		})
	}
	return problems
}

func (a *asked) checkPaths() ([]string, Problems) {
	var problems Problems
	var paths []string
	for _, text := range a.paths {
		p := target.CleanPath(text)
		detail := target.CheckPath(p)
		if detail == "" && slices.Contains(paths, p) {
			detail = "is named twice"
		}
		if detail != "" {
			problems = append(problems, Problem{Reason: ReasonInvalidPath, Field: annotation(a.pathsKey), Value: p, Detail: detail})
			continue
		}
		paths = append(paths, p)
	}
	return paths, problems
}

// parseMounts reads volume:mountPath[:subPath], comma-separated.
func parseMounts(value string, t *Target) ([]corev1.VolumeMount, Problems) {
	var mounts []corev1.VolumeMount
	var problems Problems
	for _, text := range split(value) {
		m, reason, detail := parseMount(text, t)
		if detail == "" && slices.ContainsFunc(mounts, func(o corev1.VolumeMount) bool { return o.MountPath == m.MountPath }) {
			reason, detail = ReasonInvalidMount, fmt.Sprintf("mounts a second volume at %s: give each its own place", m.MountPath)
		}
		if detail != "" {
			problems = append(problems, Problem{Reason: reason, Field: annotation(api.AnnotationVolumeMounts), Value: text, Detail: detail})
			continue
		}
		mounts = append(mounts, m)
	}
	return mounts, problems
}

func parseMount(text string, t *Target) (corev1.VolumeMount, Reason, string) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return corev1.VolumeMount{}, ReasonInvalidMount, fmt.Sprintf("expected <volume>:<mountPath> or <volume>:<mountPath>:<subPath>; for example %q", example(t).mounts)
	}
	m := corev1.VolumeMount{Name: strings.TrimSpace(parts[0]), MountPath: target.CleanPath(strings.TrimSpace(parts[1]))}
	if len(parts) == 3 {
		m.SubPath = strings.TrimSpace(parts[2])
	}
	switch {
	case !slices.Contains(t.Volumes, m.Name) && len(t.Volumes) == 0:
		return m, ReasonUnknownVolume, fmt.Sprintf("the pods of the %s have no volumes: there is nothing to back up", t.Kind)
	case !slices.Contains(t.Volumes, m.Name):
		return m, ReasonUnknownVolume, fmt.Sprintf("the pods of the %s have no volume %q; they have %s", t.Kind, m.Name, strings.Join(t.Volumes, ", "))
	}
	if detail := target.CheckMountPath(m.MountPath); detail != "" {
		return m, ReasonInvalidMount, "the mountPath " + detail
	}
	if m.SubPath != "" && (path.IsAbs(m.SubPath) || slices.Contains(strings.Split(m.SubPath, "/"), "..")) {
		return m, ReasonInvalidMount, "the subPath must be relative and without .."
	}
	return m, "", ""
}

func places(mounts []corev1.VolumeMount) string {
	out := make([]string, 0, len(mounts))
	for i := range mounts {
		out = append(out, mounts[i].MountPath)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

type examples struct{ paths, mounts string }

// example returns values for the annotations that would work for this target: the first data volume
// that a container mounts for writing, else its first mount, else a made-up one.
func example(t *Target) examples {
	found := corev1.VolumeMount{Name: "data", MountPath: "/source/data"}
	if len(t.Volumes) > 0 {
		found.Name = t.Volumes[0]
	}
	if t.Template == nil {
		return examples{found.MountPath, found.Name + ":" + found.MountPath}
	}
	// The first pass looks for what an application writes; the second takes anything.
	for _, data := range []bool{true, false} {
		for i := range t.Template.Spec.Containers {
			for _, m := range t.Template.Spec.Containers[i].VolumeMounts {
				usable := m.SubPathExpr == "" && target.CheckMountPath(path.Clean(m.MountPath)) == ""
				if usable && (!data || !m.ReadOnly && target.HoldsData(t.Template, m.Name)) {
					return exampleOf(m)
				}
			}
		}
	}
	return exampleOf(found)
}

func exampleOf(m corev1.VolumeMount) examples {
	p := path.Clean(m.MountPath)
	text := m.Name + ":" + p
	if m.SubPath != "" {
		text += ":" + m.SubPath
	}
	return examples{p, text}
}
