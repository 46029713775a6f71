package validators

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// sharing refuses a restore into a volume that dies with its pod beside one that several pods share. What
// is shared is restored once, by one pod; the others start on it without a restore, and what they have
// of their own would stay empty. One volume of their own that lasts is enough to restore each of them.
// What is not known, such as whether pods share a node's folder, is not refused.
func (r *Result) sharing(t *v1beta1.RestoreTarget, mounts []corev1.VolumeMount, f *Facts, at, pathsAt *field.Path) {
	kind, known := target.Of(f.Target)
	pods := podCount(f.Target)
	if !known || pods < 2 {
		return
	}
	volumes := map[string]corev1.Volume{}
	for _, v := range kind.PodTemplate(f.Target).Spec.Volumes {
		volumes[v.Name] = v
	}
	shared := ""
	for _, m := range mounts {
		v, ok := volumes[m.Name]
		switch {
		case !ok, m.SubPathExpr != "", v.Ephemeral != nil, v.HostPath != nil, v.VolumeSource == corev1.VolumeSource{}:
			return // a claim of the pod's own, or what may be its own
		case target.LastingVolume(&corev1.Pod{}, &v) != target.Lasting{}:
			shared = m.Name
		}
	}
	restored := restoredBy(t.Rules)
	for i, m := range mounts {
		v := volumes[m.Name]
		if shared == "" || v.EmptyDir == nil || !restored(m) {
			continue
		}
		where := pathsAt
		if len(t.VolumeMounts) > 0 {
			where = at.Child("volumeMounts").Index(i).Child("name")
		}
		detail := fmt.Sprintf("is an emptyDir, which each of the %d pods of %s %q has for itself, beside volume %q, which they share: the restore would fill that of one pod alone; leave it out", pods, kind, t.Ref.Name, shared)
		if kind.GVK != target.DaemonSet().GVK {
			detail += ", or scale the target to 1 until the restore has ended"
		}
		r.add(field.Invalid(where, m.Name, detail))
	}
}

// restoredBy tells whether rules restore something into a mount, as far as they say.
func restoredBy(rules []v1beta1.Rule) func(corev1.VolumeMount) bool {
	all := false
	paths := make([]string, 0, len(rules))
	for i := range rules {
		all = all || len(rules[i].Paths) == 0
		paths = append(paths, clean(rules[i].Paths)...)
	}
	folders := target.NewFolders(paths)
	return func(m corev1.VolumeMount) bool { return all || folders.Meet(target.CleanPath(m.MountPath)) }
}

// podCount is how many pods a workload is to have, 0 where that is not known.
func podCount(obj runtime.Object) int32 {
	replicas := func(n *int32) int32 {
		if n == nil {
			return 1
		}
		return *n
	}
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return replicas(o.Spec.Replicas)
	case *appsv1.StatefulSet:
		return replicas(o.Spec.Replicas)
	case *appsv1.DaemonSet:
		return o.Status.DesiredNumberScheduled
	}
	return 0
}
