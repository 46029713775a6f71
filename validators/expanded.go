package validators

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
)

// ByOperator refuses annotations by which the operator says what it made a BackupConfiguration from, where
// somebody else's request sets or changes them: policies count by blueprint, and what was made from a
// workload is put back and deleted with it. What is there may stay, and may be taken off. Old is what the
// object replaces, nil on creation.
//
// A Repository may have them where its author may change the blueprint (AccessNeeded): one that is created again
// from a backup of the cluster is the way back to its snapshots.
func ByOperator(object, old runtime.Object) field.ErrorList {
	c, is := object.(*v1beta1.BackupConfiguration)
	if !is {
		return nil
	}
	var had map[string]string
	if before, is := old.(*v1beta1.BackupConfiguration); is && before != nil {
		had = before.Annotations
	}
	var out field.ErrorList
	for _, key := range []string{api.AnnotationExpandedFrom, api.AnnotationExpandedBlueprint} {
		if value, has := c.Annotations[key]; has && value != had[key] {
			out = append(out, field.Forbidden(field.NewPath("metadata", "annotations").Key(key), fmt.Sprintf(
				"the operator alone writes it, on what it makes from a workload: leave out %s and %s, also of a manifest that was exported, or restored from a backup of the cluster; a workload that names a blueprint gets its BackupConfiguration by itself",
				api.AnnotationExpandedFrom, api.AnnotationExpandedBlueprint)))
		}
	}
	return out
}

// expandedConfiguration warns who changes a configuration that annotations gave: it is put back.
func (r *Result) expandedConfiguration(c, old *v1beta1.BackupConfiguration) {
	now := c.Spec.DeepCopy()
	now.Paused = old.Spec.Paused // this stays
	if !equality.Semantic.DeepEqual(*now, old.Spec) {
		r.putBack(old, "spec is put back, all but spec.paused", "its annotations ("+api.AnnotationSchedule+" and others) or ")
	}
}

// expandedRepository does so of a Repository, as long as the annotations that gave it are there: they
// give its configuration too.
func (r *Result) expandedRepository(old *v1alpha1.Repository, users []v1beta1.BackupConfiguration) {
	from := old.Annotations[api.AnnotationExpandedFrom]
	if slices.ContainsFunc(users, func(c v1beta1.BackupConfiguration) bool { return c.Annotations[api.AnnotationExpandedFrom] == from }) {
		r.putBack(old, "spec is put back", "")
	}
}

// putBack says where to change what an object was expanded from: in its blueprint, or elsewhere too.
func (r *Result) putBack(old metav1.Object, what, elsewhere string) {
	from := strings.Split(old.GetAnnotations()[api.AnnotationExpandedFrom], "/")
	if len(from) != 3 {
		return
	}
	r.warn("expanded from %s %s/%s: %s; change %sblueprint %s instead", from[0], from[1], from[2], what, elsewhere, blueprint.Holder(old.GetAnnotations()))
}
