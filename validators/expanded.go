package validators

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
)

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
