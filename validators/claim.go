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

// block refuses a claim without a file system: no container can mount it.
func (r *Result) block(obj runtime.Object, at *field.Path) {
	claim, ok := obj.(*corev1.PersistentVolumeClaim)
	if ok && claim != nil && claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		r.add(field.Invalid(at, claim.Name, "its volumeMode is Block: it is a device without a file system, which cannot be mounted, and Stash backs up and restores files: "+
			"name a claim of volumeMode Filesystem, for example one that the application writes dumps of the device to"))
	}
}
