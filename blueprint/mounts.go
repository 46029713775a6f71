package blueprint

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/target"
)

// pathsAndMounts returns what of the target is backed up, or why that cannot be said.
func (a *asked) pathsAndMounts(t *Target) ([]string, []corev1.VolumeMount, Problems) {
	if len(a.long) > 0 {
		return nil, nil, a.long
	}
	give := sync.OnceValue(func() examples { return example(t) })
	if a.source != "" && len(a.paths) == 0 {
		return a.persistent(t, give)
	}
	problems := a.required(t, give)
	paths, bad := a.checkPaths()
	problems = append(problems, bad...)
	if !a.hasMounts {
		if !a.mayLackMounts() || len(paths) == 0 {
			return paths, nil, problems
		}
		mounts, bad := a.derived(t, paths, give)
		return paths, mounts, append(problems, bad...)
	}
	mounts, bad := a.parseMounts(t, give)
	problems = append(problems, bad...)
	if len(bad) > 0 {
		return paths, mounts, problems // a mount that could not be read may have been the one
	}
	where := places(mounts)
	folders := target.NewFolders(where)
	for _, p := range paths {
		if !folders.Cover(p) {
			problems = append(problems, Problem{
				Reason: ReasonPathNotMounted, Field: annotation(a.pathsKey), Value: p,
				Detail: fmt.Sprintf("lies in none of the mounts (%s): mount its volume in %s, for example %q", some(where), api.AnnotationVolumeMounts, give().mounts),
			})
		}
	}
	return paths, mounts, problems
}

// derived returns the containers' own mounts that hold the paths.
func (a *asked) derived(t *Target, paths []string, give func() examples) ([]corev1.VolumeMount, Problems) {
	mounts, missing := target.MountsFor(t.Template, paths)
	if len(mounts) > maxMounts {
		return nil, Problems{{
			Reason: ReasonTooMany, Field: annotation(a.pathsKey), Value: strings.Join(a.paths, ","),
			Detail: fmt.Sprintf("the containers mount more than %d volumes in or below these paths: name folders that need fewer", maxMounts),
		}}
	}
	var problems Problems
	for _, p := range missing {
		problems = append(problems, Problem{
			Reason: ReasonPathNotMounted, Field: annotation(a.pathsKey), Value: p,
			Detail: fmt.Sprintf("no container mounts a volume at %s or above it (one with subPathExpr cannot be repeated): write %s, for example %q", shortened(p), api.AnnotationVolumeMounts, give().mounts),
		})
	}
	return mounts, problems
}

// mayLackMounts tells whether mounts are taken from the containers where they are not given.
func (a *asked) mayLackMounts() bool { return a.draft || a.source != "" }

// persistent returns all of the target that outlives its pods, for a default: nobody said what is to be
// backed up.
func (a *asked) persistent(t *Target, give func() examples) ([]string, []corev1.VolumeMount, Problems) {
	paths, mounts, why := target.PersistentMounts(t.Template, t.Volumes)
	switch {
	case why != "":
		why += ": write what is to be backed up"
	case len(paths) == 0:
		why = "the pods have no volume that outlives them: write what else is to be backed up"
	case len(mounts) > maxMounts:
		why = fmt.Sprintf("the pods have more than %d volumes that outlive them: write which are to be backed up", maxMounts)
	default:
		return paths, mounts, nil
	}
	return nil, nil, Problems{{
		Reason: ReasonMissingAnnotation, Field: annotation(api.AnnotationTargetPaths),
		Detail: fmt.Sprintf("%s, for example %s: %q and %s: %q", why, api.AnnotationTargetPaths, give().paths, api.AnnotationVolumeMounts, give().mounts),
	}}
}

// required returns the annotations that are missing, with examples from the pod template.
func (a *asked) required(t *Target, give func() examples) Problems {
	var problems Problems
	if len(a.paths) == 0 {
		problems = append(problems, Problem{
			Reason: ReasonMissingAnnotation, Field: annotation(api.AnnotationTargetPaths),
			Detail: fmt.Sprintf("a %s needs the paths to back up; for example %s: %q", t.Kind, api.AnnotationTargetPaths, give().paths),
		})
	}
	if !a.hasMounts && !a.mayLackMounts() {
		problems = append(problems, Problem{
			Reason: ReasonMissingAnnotation, Field: annotation(api.AnnotationVolumeMounts),
			Detail: fmt.Sprintf("a %s needs the volumes that hold the paths, as <volume>:<mountPath>; for example %s: %q", t.Kind, api.AnnotationVolumeMounts, give().mounts),
		})
	}
	return problems
}

func (a *asked) checkPaths() ([]string, Problems) {
	var problems Problems
	var paths []string
	named := map[string]bool{}
	for _, text := range a.paths {
		p := target.CleanPath(text)
		detail := target.CheckPath(p)
		if detail == "" && named[p] {
			detail = "is named twice"
		}
		named[p] = true
		if detail != "" {
			problems = append(problems, Problem{Reason: ReasonInvalidPath, Field: annotation(a.pathsKey), Value: p, Detail: detail})
			continue
		}
		paths = append(paths, p)
	}
	return paths, problems
}

// parseMounts reads volume:mountPath[:subPath], comma-separated.
func (a *asked) parseMounts(t *Target, give func() examples) ([]corev1.VolumeMount, Problems) {
	var mounts []corev1.VolumeMount
	var problems Problems
	volumes := make(map[string]bool, len(t.Volumes))
	for _, name := range t.Volumes {
		volumes[name] = true
	}
	mounted := map[string]bool{}
	for _, text := range a.mounts {
		m, ok := readMount(text)
		reason := ReasonInvalidMount
		var detail string
		switch {
		case !ok:
			detail = fmt.Sprintf("expected <volume>:<mountPath> or <volume>:<mountPath>:<subPath>; for example %q", give().mounts)
		case !volumes[m.Name]:
			reason, detail = ReasonUnknownVolume, unknownVolume(t, m.Name)
		default:
			detail = checkMount(m)
		}
		if detail == "" && mounted[m.MountPath] {
			detail = fmt.Sprintf("mounts a second volume at %s: give each its own place", shortened(m.MountPath))
		}
		if detail != "" {
			problems = append(problems, Problem{Reason: reason, Field: annotation(api.AnnotationVolumeMounts), Value: text, Detail: detail})
			continue
		}
		mounted[m.MountPath] = true
		mounts = append(mounts, m)
	}
	return mounts, problems
}

func readMount(text string) (corev1.VolumeMount, bool) {
	parts := strings.SplitN(text, ":", 4)
	if len(parts) < 2 || len(parts) > 3 {
		return corev1.VolumeMount{}, false
	}
	m := corev1.VolumeMount{Name: strings.TrimSpace(parts[0]), MountPath: target.CleanPath(strings.TrimSpace(parts[1]))}
	if len(parts) == 3 {
		m.SubPath = strings.TrimSpace(parts[2])
	}
	return m, true
}

func unknownVolume(t *Target, name string) string {
	if len(t.Volumes) == 0 {
		return fmt.Sprintf("the pods of the %s have no volumes: there is nothing to back up", t.Kind)
	}
	return fmt.Sprintf("the pods of the %s have no volume %q; they have %s", t.Kind, shortened(name), some(t.Volumes))
}

// checkMount returns what is wrong with a mount, empty if nothing.
func checkMount(m corev1.VolumeMount) string {
	if detail := target.CheckMountPath(m.MountPath); detail != "" {
		return "the mountPath " + detail
	}
	if m.SubPath != "" && (path.IsAbs(m.SubPath) || slices.Contains(strings.Split(m.SubPath, "/"), "..")) {
		return "the subPath must be relative and without .."
	}
	return ""
}

func places(mounts []corev1.VolumeMount) []string {
	out := make([]string, 0, len(mounts))
	for i := range mounts {
		out = append(out, mounts[i].MountPath)
	}
	return out
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
	filled := target.Filled(t.Template)
	// The first pass looks for what an application writes; the second takes anything.
	for _, data := range []bool{true, false} {
		for i := range t.Template.Spec.Containers {
			for _, m := range t.Template.Spec.Containers[i].VolumeMounts {
				usable := m.SubPathExpr == "" && target.CheckMountPath(path.Clean(m.MountPath)) == ""
				if usable && (!data || !m.ReadOnly && !filled[m.Name]) {
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
