package v1beta1

import (
	"cmp"
	"path"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
)

// IsClaim tells whether a reference is one to a PersistentVolumeClaim.
func (r TargetRef) IsClaim() bool {
	return r.Kind == "PersistentVolumeClaim" && (r.APIVersion == "" || r.APIVersion == "v1")
}

// mountsOfClaim are those of a claim: its one volume has a name of ours whatever it is called, and is
// mounted at the first of these places that is given. What else the given mount says is kept, so that it is
// judged as that of a workload is; whether it is written to is decided by what is done with it.
func mountsOfClaim(given []corev1.VolumeMount, mountPath string) []corev1.VolumeMount {
	if len(given) > 1 {
		return given // refused by name
	}
	out := corev1.VolumeMount{MountPath: cmp.Or(mountPath, api.MountTarget)}
	if len(given) == 1 {
		out = *given[0].DeepCopy()
	}
	out.Name, out.ReadOnly = api.VolumeTarget, false
	if path.IsAbs(out.MountPath) {
		out.MountPath = path.Clean(out.MountPath)
	}
	return []corev1.VolumeMount{out}
}

// completeClaim fills in where a claim is mounted, and all of it as what is backed up.
func (t *BackupTarget) completeClaim() {
	if !t.Ref.IsClaim() {
		return
	}
	t.VolumeMounts, t.MountPath = mountsOfClaim(t.VolumeMounts, t.MountPath), ""
	if len(t.Paths) == 0 && len(t.VolumeMounts) == 1 {
		t.Paths = []string{t.VolumeMounts[0].MountPath}
	}
}

// completeClaim fills in where a claim is mounted.
func (t *RestoreTarget) completeClaim() {
	if t.Ref.IsClaim() {
		t.VolumeMounts, t.MountPath = mountsOfClaim(t.VolumeMounts, t.MountPath), ""
	}
}
