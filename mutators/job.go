package mutators

import (
	"cmp"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// JobInput is all that the pod of a Job is made of that backs up or restores a target without pods of
// its own.
type JobInput struct {
	// Name is <namespace>/<name> of the configuration or the RestoreSession, for problems.
	Name string
	// Session is the UID of the BackupSession or RestoreSession.
	Session string
	// Restores tells that it writes the volumes.
	Restores bool
	// Volumes are those of the target, Mounts where they are mounted.
	Volumes []corev1.Volume
	Mounts  []corev1.VolumeMount
	// Local is the volume of the Repository's backend; nil for other backends.
	Local   *v1alpha1.LocalSpec
	Runtime v1beta1.RuntimeSettings
	TempDir v1beta1.EmptyDirSettings
	// Node is the one that the pod must run on, since a volume is in use there; empty: any.
	Node      string
	Namespace Namespace
	Settings  Settings
}

// Arguments that say what the container of a Job is there for.
const (
	roleBackupJob  = "backup-job"
	roleRestoreJob = "restore-job"
)

// NewJob makes the pod of a Job that backs up or restores, with the invoker's settings of pod and
// container over ours. It returns a Problem where they cannot be had.
func NewJob(in JobInput) (corev1.PodTemplateSpec, *Problem) {
	given := podSettings(in.Runtime.Pod)
	spec := corev1.PodSpec{Volumes: in.Volumes, SecurityContext: given.SecurityContext.DeepCopy()}
	w := wish{name: in.Name, mounts: in.Mounts, local: in.Local, runtime: in.Runtime, temp: in.TempDir}
	p := w.check(&spec, volumeNames(&spec, nil), in.Namespace.PodSecurity)
	u := newUnion()
	if p == nil {
		p = u.add(w)
	}
	if p != nil {
		p.Configuration = in.Name
		return corev1.PodTemplateSpec{}, p
	}
	u.sort()
	spec.Containers = []corev1.Container{in.container(u, &spec)}
	spec.Volumes = append(spec.Volumes, u.volumes()...)
	in.settle(&spec, given)
	component := api.ComponentBackup
	if in.Restores {
		component = api.ComponentRestore
	}
	labels, annotations := maps.Clone(given.PodLabels), maps.Clone(given.PodAnnotations)
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(labels, map[string]string{
		api.LabelManagedBy: api.ManagedBy, api.LabelComponent: component, api.LabelSession: in.Session,
		// A mesh would keep the Job from ever finishing.
		"sidecar.istio.io/inject": "false",
	})
	annotations["linkerd.io/inject"] = "disabled"
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations}, Spec: spec}, nil
}

// container is the one that does the work.
func (in JobInput) container(u union, pod *corev1.PodSpec) corev1.Container {
	role, mounts := roleBackupJob, readOnly(u.Mounts)
	level := in.Namespace.PodSecurity
	capabilities := backupCapabilities(level, len(u.Locals) > 0)
	if in.Restores {
		role, mounts, capabilities = roleRestoreJob, writable(u.Mounts), restoreCapabilities()
	}
	c := u.container(api.ContainerJob, role, in.Settings, mounts)
	c.Resources = resources(&corev1.PodSpec{}, in.Namespace, in.Settings.defaults(), u.Container.Resources)
	c.SecurityContext = securityContext(level, capabilities, pod, nil, ofPod(u.Container.SecurityContext, pod.SecurityContext))
	return c
}

// ofPod fills in from the settings of the pod, which has no other container, what those of the container
// leave open.
func ofPod(container *corev1.SecurityContext, pod *corev1.PodSecurityContext) *corev1.SecurityContext {
	if pod == nil {
		return container
	}
	out := container.DeepCopy()
	if out == nil {
		out = &corev1.SecurityContext{}
	}
	fill(&out.RunAsUser, pod.RunAsUser)
	fill(&out.RunAsGroup, pod.RunAsGroup)
	fill(&out.RunAsNonRoot, pod.RunAsNonRoot)
	fill(&out.SELinuxOptions, pod.SELinuxOptions)
	fill(&out.SeccompProfile, pod.SeccompProfile)
	fill(&out.AppArmorProfile, pod.AppArmorProfile)
	return out
}

func fill[T any](field **T, other *T) {
	if *field == nil {
		*field = other
	}
}

func podSettings(given *v1beta1.PodRuntimeSettings) v1beta1.PodRuntimeSettings {
	if given == nil {
		return v1beta1.PodRuntimeSettings{}
	}
	return *given.DeepCopy()
}

// settle fills in the rest of the pod.
func (in JobInput) settle(spec *corev1.PodSpec, given v1beta1.PodRuntimeSettings) {
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.TerminationGracePeriodSeconds = new(int64(30))
	spec.AutomountServiceAccountToken = new(false)
	replace(&spec.AutomountServiceAccountToken, given.AutomountServiceAccountToken)
	spec.EnableServiceLinks = new(false)
	replace(&spec.EnableServiceLinks, given.EnableServiceLinks)
	spec.ImagePullSecrets = pullSecrets(in.Settings.PullSecrets, given.ImagePullSecrets)
	spec.NodeSelector, spec.NodeName, spec.Tolerations = given.NodeSelector, given.NodeName, given.Tolerations
	spec.ServiceAccountName, spec.SchedulerName = given.ServiceAccountName, given.SchedulerName
	spec.PriorityClassName, spec.Priority = given.PriorityClassName, given.Priority
	spec.ReadinessGates, spec.TopologySpreadConstraints = given.ReadinessGates, given.TopologySpreadConstraints
	spec.RuntimeClassName, spec.Affinity = given.RuntimeClassName, given.Affinity
	if in.Node != "" && spec.NodeName == "" {
		spec.Affinity = onNode(spec.Affinity, in.Node)
	}
}

// onNode adds to an affinity that only one node will do. A pod that names its node itself would be
// started there, or refused, without the scheduler's looking at volumes and room.
func onNode(a *corev1.Affinity, node string) *corev1.Affinity {
	a = cmp.Or(a, &corev1.Affinity{})
	a.NodeAffinity = cmp.Or(a.NodeAffinity, &corev1.NodeAffinity{})
	required := cmp.Or(a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution, &corev1.NodeSelector{})
	if len(required.NodeSelectorTerms) == 0 {
		required.NodeSelectorTerms = []corev1.NodeSelectorTerm{{}}
	}
	for i := range required.NodeSelectorTerms { // of which any is enough
		t := &required.NodeSelectorTerms[i]
		t.MatchFields = append(t.MatchFields, corev1.NodeSelectorRequirement{
			Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node},
		})
	}
	a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = required
	return a
}

// JobWriter returns as whom the container of a Job's pod writes.
func JobWriter(t *corev1.PodTemplateSpec) Writer {
	if len(t.Spec.Containers) == 0 {
		return Writer{}
	}
	return Plan{container: t.Spec.Containers[0]}.Writer(&t.Spec)
}
