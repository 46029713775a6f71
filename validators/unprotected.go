package validators

import (
	"slices"
	"sync"

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
	held := map[string]bool{}
	holds(held, mounts, t.Paths)
	derive := sync.OnceValue(func() *target.ContainerMounts { return target.MountsOf(kind.PodTemplate(f.Target)) })
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
			theirs, _ = derive().For(clean(other.Target.Paths))
		}
		holds(held, theirs, other.Target.Paths)
	}
	missing := slices.DeleteFunc(kind.Claims(f.Target), func(name string) bool { return held[name] })
	if len(missing) > 0 {
		r.warn("%s %q keeps data that no backup holds, in volumes: %s; mount each in spec.target.volumeMounts, and name its folders in spec.target.paths", kind, t.Ref.Name, list(missing))
	}
}

// holds adds the volumes that paths lie in, or that lie below a path.
func holds(held map[string]bool, mounts []corev1.VolumeMount, paths []string) {
	folders := target.NewFolders(clean(paths))
	for _, m := range mounts {
		if folders.Meet(target.CleanPath(m.MountPath)) {
			held[m.Name] = true
		}
	}
}
