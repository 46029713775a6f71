package mutators

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// NewBackupPlan makes the plan of one sidecar that serves all configurations of a workload. A
// configuration that cannot be served, or not together with those before it, is left out with a
// Problem that names it; the plan is Empty where none remains.
func NewBackupPlan(in BackupInput) (Plan, []Problem) {
	pod := &in.Template.Spec
	u, problems := in.union(pod)
	if u.count == 0 {
		return Plan{}, problems
	}
	plan := Plan{
		container: u.container(api.ContainerSidecar, "sidecar", in.Settings, readOnly(u.Mounts)),
		volumes:   u.volumes(),
		secrets:   pullSecrets(in.Settings.PullSecrets, u.secrets),
		inits:     in.Settings.NativeSidecar,
	}
	plan.data, plan.needs = u.data()
	c := &plan.container
	c.LivenessProbe, c.ReadinessProbe, c.Lifecycle = u.Container.LivenessProbe, u.Container.ReadinessProbe, u.Container.Lifecycle
	c.Resources = resources(pod, in.Namespace, in.Settings.defaults(), u.Container.Resources)
	c.SecurityContext = securityContext(in.Namespace.PodSecurity, backupCapabilities(in.Namespace.PodSecurity, len(u.Locals) > 0),
		pod, plan.data, u.Container.SecurityContext)
	if in.Settings.NativeSidecar {
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	}
	return finish(plan, pod, problems, func() (string, error) { return u.hash(in.Settings.InjectionVersion) })
}

// finish sets the hash, renders, and refuses what does not fit into the pod template.
func finish(plan Plan, pod *corev1.PodSpec, problems []Problem, hash func() (string, error)) (Plan, []Problem) {
	if p := collision(plan, pod); p != nil {
		return Plan{}, append(problems, *p)
	}
	var err error
	if plan.hash, err = hash(); err == nil {
		plan, err = plan.render()
	}
	if err != nil {
		return Plan{}, append(problems, *problem(ProblemSettings, "the settings cannot be encoded: %v", err))
	}
	return plan, problems
}

// union joins the configurations that can be served together.
func (in BackupInput) union(pod *corev1.PodSpec) (union, []Problem) {
	volumes := volumeNames(pod, in.ClaimTemplates)
	u := newUnion()
	var problems []Problem
	for _, c := range in.Configurations {
		w := wish{name: c.Name, local: c.Local, runtime: c.Spec.RuntimeSettings, temp: c.Spec.TempDir}
		if c.Spec.Target != nil {
			w.mounts = c.Spec.Target.VolumeMounts
		}
		p := w.check(pod, volumes, in.Namespace.PodSecurity)
		if p == nil {
			p = u.add(w)
		}
		if p != nil {
			p.Configuration = c.Name
			problems = append(problems, *p)
			continue
		}
		if p := w.ignored(false); p != nil {
			problems = append(problems, *p)
		}
	}
	u.sort()
	return u, problems
}

// ignored says which settings have no meaning in a pod that is the application's.
func (w wish) ignored(restore bool) *Problem {
	var p *Problem
	if pod := w.runtime.Pod; pod != nil {
		rest := *pod
		rest.ImagePullSecrets = nil
		if !emptyPodSettings(rest) {
			p = problem(ProblemIgnored, "of spec.runtimeSettings.pod only imagePullSecrets has a meaning here: the pod is the application's; write the rest into its pod template")
		}
	}
	if c := w.runtime.Container; restore && c != nil && (c.LivenessProbe != nil || c.ReadinessProbe != nil || c.Lifecycle != nil) {
		p = problem(ProblemIgnored, "spec.runtimeSettings.container: an init-container has no probes and no lifecycle; they are ignored")
	}
	if p != nil {
		p.Configuration = w.name
	}
	return p
}

func emptyPodSettings(s v1beta1.PodRuntimeSettings) bool {
	return len(s.PodLabels)+len(s.PodAnnotations)+len(s.NodeSelector)+len(s.ServiceAccountAnnotations)+len(s.Tolerations)+
		len(s.ReadinessGates)+len(s.TopologySpreadConstraints) == 0 &&
		s.ServiceAccountName == "" && s.NodeName == "" && s.SchedulerName == "" && s.PriorityClassName == "" &&
		s.AutomountServiceAccountToken == nil && s.SecurityContext == nil && s.Affinity == nil && s.Priority == nil &&
		s.RuntimeClassName == nil && s.EnableServiceLinks == nil
}

// data returns the volumes of the pod's own that hold the data, as a set and as a list.
func (u union) data() (map[string]bool, []string) {
	set := map[string]bool{}
	var list []string
	for _, m := range u.Mounts {
		if !set[m.Name] {
			set[m.Name] = true
			list = append(list, m.Name)
		}
	}
	return set, list
}

// collision finds names in the pod template that are ours. A temporary directory that an older Stash
// left behind is used.
func collision(plan Plan, pod *corev1.PodSpec) *Problem {
	for _, list := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range list {
			if list[i].Name == plan.container.Name {
				return problem(ProblemContainerName, "the pod template has a container named %q already: remove it, it may have been left by another backup tool, or rename it", list[i].Name)
			}
		}
	}
	for _, v := range pod.Volumes {
		for _, ours := range plan.volumes {
			if v.Name == ours.Name && (v.Name != api.VolumeTmp || v.EmptyDir == nil) {
				return problem(ProblemVolumeName, "the pod template has a volume named %q, which is the name of one of ours: rename it", v.Name)
			}
		}
	}
	return nil
}

func (s Settings) defaults() corev1.ResourceRequirements {
	if s.Resources.Requests == nil && s.Resources.Limits == nil {
		return DefaultResources()
	}
	return s.Resources
}
