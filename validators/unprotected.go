package validators

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// unprotected warns of claims of the target that neither this configuration nor another one of the same
// target backs up: an application has often more volumes than the one that comes to mind.
func (r *Result) unprotected(c *v1beta1.BackupConfiguration, t *v1beta1.BackupTarget, mounts []corev1.VolumeMount, f *Facts) {
	kind, known := target.Of(f.Target)
	if !known || len(r.Errors) > 0 {
		return
	}
	held := holds(mounts, t.Paths)
	for _, n := range f.Configurations {
		if n.Configuration == nil {
			continue
		}
		other, _ := n.Configuration.Spec.Shipped()
		if other.Target == nil || !target.Same(t.Ref, c.Namespace, other.Target.Ref, n.Configuration.Namespace) {
			continue
		}
		theirs := other.Target.VolumeMounts
		if len(theirs) == 0 {
			theirs, _ = target.MountsFor(kind.PodTemplate(f.Target), clean(other.Target.Paths))
		}
		held = append(held, holds(theirs, other.Target.Paths)...)
	}
	missing := slices.DeleteFunc(kind.Claims(f.Target), func(name string) bool { return slices.Contains(held, name) })
	if len(missing) > 0 {
		r.warn("%s %q keeps data that no backup holds, in volumes: %s; mount each in spec.target.volumeMounts, and name its folders in spec.target.paths", kind, t.Ref.Name, strings.Join(missing, ", "))
	}
}

// holds returns the volumes that paths lie in, or that lie below a path.
func holds(mounts []corev1.VolumeMount, paths []string) []string {
	var out []string
	for _, m := range mounts {
		place := target.CleanPath(m.MountPath)
		if slices.ContainsFunc(clean(paths), func(p string) bool { return target.Covers(place, p) || target.Covers(p, place) }) {
			out = append(out, m.Name)
		}
	}
	return out
}
