package webhook

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/mutators"
)

// stamps are what a request does to the labels of a pod template.
type stamps struct {
	create bool
	// old are the labels before the request, have those that it asks for.
	old, have mutators.Stamp
	// rollsOut tells that the request changes the pod template beside our labels.
	rollsOut bool
}

// decideStamp returns the labels that the template is to carry, and whether the request did nothing
// but take one away that is put back, as `kubectl rollout undo` of a stamped revision does.
//
// A request that creates pods or rolls them out anyway takes what is wanted now. Any other must not
// cause a rollout: labels stay as they are stored, and what has changed meanwhile is rolled out by
// the controller, at its own pace, after a dry run of a pod with the sidecar. A restore cannot wait.
func decideStamp(s stamps, want Wanted) (stamp mutators.Stamp, undone bool) {
	if s.create || s.rollsOut {
		return want.Stamp, false
	}
	stamp = s.have
	if s.old.Inject != "" && s.have.Inject != s.old.Inject && want.Stamp.Inject != "" {
		stamp.Inject, undone = s.old.Inject, true
	}
	if want.Stamp.Restore != "" {
		stamp.Restore = want.Stamp.Restore
	}
	return stamp, undone && stamp == s.old
}

// sameTemplate compares pod templates without our labels.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	return equality.Semantic.DeepEqual(unstamped(a), unstamped(b))
}

func unstamped(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	out := *t
	out.Labels = nil
	for k, v := range t.Labels {
		if k == api.LabelInject || k == api.LabelRestore {
			continue
		}
		if out.Labels == nil {
			out.Labels = map[string]string{}
		}
		out.Labels[k] = v
	}
	return &out
}
