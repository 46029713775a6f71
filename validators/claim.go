package validators

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/task"
)

// ClaimTask takes away the Task of the catalogue that says what is done with a claim anyway.
func ClaimTask(t v1beta1.TaskRef, ref v1beta1.TargetRef, action task.Action) v1beta1.TaskRef {
	own, ok := task.OwnFunction(t.Name, "", nil)
	if ref.IsClaim() && ok && own == (task.Own{Action: action, Addon: task.AddonPVC}) && len(t.Params) == 0 {
		return v1beta1.TaskRef{}
	}
	return t
}

// claimTask is ClaimTask, and says what else may stand there; what was said is not said again.
func (r *Result) claimTask(t v1beta1.TaskRef, ref v1beta1.TargetRef, action task.Action, at *field.Path) v1beta1.TaskRef {
	t = ClaimTask(t, ref, action)
	if !ref.IsClaim() || t.Name == "" && len(t.Params) == 0 {
		return t
	}
	name := task.AddonPVC + "-" + string(action)
	if t.Name == name {
		r.add(field.Forbidden(at.Child("params"), name+" takes none: remove them"))
	} else {
		r.add(field.NotSupported(at.Child("name"), t.Name, []string{name}))
		r.warnOnce("%s: a claim needs no Task: remove the field, or write %s; other Tasks are not supported yet", at, name)
	}
	return v1beta1.TaskRef{}
}

// block refuses a claim without a file system: no container can mount it.
func (r *Result) block(obj runtime.Object, at *field.Path) {
	claim, ok := obj.(*corev1.PersistentVolumeClaim)
	if ok && claim != nil && claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		r.add(field.Invalid(at, claim.Name, "its volumeMode is Block: it is a device without a file system, which cannot be mounted, and Stash backs up and restores files: "+
			"name a claim of volumeMode Filesystem, for example one that the application writes dumps of the device to"))
	}
}
