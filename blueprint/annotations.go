package blueprint

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/seed-731df569/stash/api"
)

// asked is what the annotations of a target ask for.
type asked struct {
	// names are the blueprints, in order, each once, at most one more than maxNames; key is the annotation
	// that they come from.
	names []string
	key   string
	// source is who asks for them where the target does not, a default, and sourceField where.
	source, sourceField string
	// draft tells that the design document's form is used, in which mounts may be left out.
	draft bool
	// paths and mounts are at most one more than maxPaths and maxMounts.
	paths     []string
	pathsKey  string
	mounts    []string
	hasMounts bool
	schedule  string
	warnings  []string
	// long are the annotations that hold more than that.
	long Problems
}

// where is where the blueprints are asked for: an annotation of the target, or the default's source.
func (a *asked) where() string {
	if a.source != "" {
		return a.source + ", " + a.sourceField
	}
	return annotation(a.key)
}

func blueprintKeys() []string {
	return []string{api.AnnotationBlueprint, api.AnnotationDraftTemplate, api.AnnotationDraftTemplateHyphen}
}

func pathKeys() []string {
	return []string{api.AnnotationTargetPaths, api.AnnotationDraftDirectories, api.AnnotationDraftDirectoriesHyphen}
}

func restoreKeys() []string {
	return []string{api.AnnotationRestorePolicy, api.AnnotationRestoreRepository, api.AnnotationRestoreDirectories}
}

// Names returns the names of the blueprints or templates that annotations ask for, in order, each
// once. It is empty for an object that asks for nothing.
func Names(annotations map[string]string) []string { return read(annotations).names }

// Wanted tells whether annotations ask Stash for anything: for a backup by a blueprint or for an
// automatic restore.
func Wanted(annotations map[string]string) bool {
	return slices.ContainsFunc(append(blueprintKeys(), restoreKeys()...), func(key string) bool {
		return strings.TrimSpace(annotations[key]) != ""
	})
}

// Relevant tells whether a request changes our annotations or what they name: the volumes and mounts
// of the pod template. Only then are problems a reason to refuse it; otherwise a fix of the
// application would be held up by something that it did not cause. A nil old template is a creation.
func Relevant(oldAnnotations, newAnnotations map[string]string, oldTemplate, newTemplate *corev1.PodTemplateSpec) bool {
	if !maps.Equal(ours(oldAnnotations), ours(newAnnotations)) {
		return true
	}
	if !Wanted(newAnnotations) {
		return false
	}
	return oldTemplate == nil || newTemplate == nil || !equality.Semantic.DeepEqual(reach(oldTemplate), reach(newTemplate))
}

func ours(annotations map[string]string) map[string]string {
	keys := slices.Concat(blueprintKeys(), pathKeys(), restoreKeys(), []string{api.AnnotationVolumeMounts, api.AnnotationSchedule})
	out := map[string]string{}
	for _, key := range keys {
		if v, ok := annotations[key]; ok {
			out[key] = v
		}
	}
	return out
}

// reach returns what annotations can name of a pod template: its volumes, and the mounts of each
// container, without what else may change in it.
func reach(template *corev1.PodTemplateSpec) map[string][]corev1.VolumeMount {
	out := map[string][]corev1.VolumeMount{}
	for i := range template.Spec.Volumes {
		out["volume/"+template.Spec.Volumes[i].Name] = nil
	}
	for i := range template.Spec.Containers {
		out[fmt.Sprintf("container/%d", i)] = template.Spec.Containers[i].VolumeMounts
	}
	return out
}

// read takes the annotations apart. The shipped form holds where both are given.
func read(annotations map[string]string) asked {
	var a asked
	var value string
	a.key, value = a.first(annotations, blueprintKeys())
	for name := range elements(value) {
		if !slices.Contains(a.names, name) {
			a.names = append(a.names, name)
		}
		if len(a.names) > maxNames {
			break
		}
	}
	a.pathsKey, value = a.first(annotations, pathKeys())
	a.paths = a.atMost(maxPaths, a.pathsKey, value, "paths", "name the folders that hold them")
	a.draft = len(a.names) > 0 && a.key != api.AnnotationBlueprint || len(a.paths) > 0 && a.pathsKey != api.AnnotationTargetPaths
	value = strings.TrimSpace(annotations[api.AnnotationVolumeMounts])
	a.hasMounts = value != ""
	a.mounts = a.atMost(maxMounts, api.AnnotationVolumeMounts, value, "mounts", "mount only what holds the paths")
	a.schedule = strings.TrimSpace(annotations[api.AnnotationSchedule])
	return a
}

// first returns the first annotation that is given and not empty; keys[0] is the shipped one. A use
// of a draft's form is a warning.
func (a *asked) first(annotations map[string]string, keys []string) (key, value string) {
	key = keys[0]
	for i, k := range keys {
		v := strings.TrimSpace(annotations[k])
		switch {
		case v == "":
			continue
		case value != "":
			a.warnings = append(a.warnings, fmt.Sprintf("%s is ignored, since %s is given: remove it", annotation(k), key))
			continue
		case i > 0:
			a.warnings = append(a.warnings, fmt.Sprintf("%s is the draft's form: write %s", annotation(k), keys[0]))
		}
		key, value = k, v
	}
	return key, value
}

// elements reads a comma list, which may stand in brackets and whose elements may be quoted.
func elements(value string) iter.Seq[string] {
	value = strings.TrimSpace(value)
	if strings.HasPrefix(value, "[") && strings.HasSuffix(value, "]") {
		value = value[1 : len(value)-1]
	}
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.Trim(strings.TrimSpace(part), `"'`); part != "" && !yield(part) {
				return
			}
		}
	}
}

// atMost reads a comma list up to a limit, and notes one that is longer.
func (a *asked) atMost(limit int, key, value, what, instead string) []string {
	var out []string
	for part := range elements(value) {
		if out = append(out, part); len(out) > limit {
			a.long = append(a.long, Problem{
				Reason: ReasonTooMany, Field: annotation(key), Value: value,
				Detail: fmt.Sprintf("an annotation may hold at most %d %s: %s, or create BackupConfigurations by hand", limit, what, instead),
			})
			break
		}
	}
	return out
}
