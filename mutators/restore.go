package mutators

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/seed-731df569/stash/api"
)

// NewRestorePlan makes the plan of the init-container that restores a workload's volumes before
// anything of the pod mounts them. The plan is Empty where a Problem refuses it.
func NewRestorePlan(in RestoreInput) (Plan, []Problem) {
	pod := &in.Template.Spec
	w := wish{name: in.Name, local: in.Local, runtime: in.Spec.RuntimeSettings, temp: in.Spec.TempDir}
	if in.Spec.Target != nil {
		w.mounts = in.Spec.Target.VolumeMounts
	}
	p := w.check(pod, volumeNames(pod, in.ClaimTemplates), in.Namespace.PodSecurity)
	u := newUnion()
	if p == nil {
		p = u.add(w)
	}
	if p != nil {
		p.Configuration = in.Name
		return Plan{}, []Problem{*p}
	}
	u.sort()
	var problems []Problem
	if p := w.ignored(true); p != nil {
		problems = append(problems, *p)
	}
	return finish(in.plan(u, pod), pod, problems, func() (string, error) { return HashRestore(in.UID), nil })
}

func (in RestoreInput) plan(u union, pod *corev1.PodSpec) Plan {
	mounts := append(writable(u.Mounts), corev1.VolumeMount{Name: VolumeRestoreState, MountPath: MountRestoreState})
	plan := Plan{
		container: u.container(api.ContainerRestore, "init", in.Settings, mounts),
		volumes: append(u.volumes(), corev1.Volume{Name: VolumeRestoreState, VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse(stateSize))},
		}}),
		secrets:  pullSecrets(in.Settings.PullSecrets, u.secrets),
		inits:    true,
		restores: true,
	}
	plan.data, plan.needs = u.data()
	c := &plan.container
	c.Args = append(c.Args, "-state", MountRestoreState, "-restore-id", HashRestore(in.UID))
	c.Resources = resources(pod, in.Namespace, in.Settings.defaults(), u.Container.Resources)
	c.SecurityContext = securityContext(in.Namespace.PodSecurity, restoreCapabilities(), pod, plan.data, u.Container.SecurityContext)
	plan.data = sharing(pod, plan.data)
	return plan
}
