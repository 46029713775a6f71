package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RuntimeSettings shape the pods and containers that move data.
type RuntimeSettings struct {
	// Pod settings; they hold for Jobs. A sidecar lives in the application's pod, whose settings
	// are the application's: there only imagePullSecrets has a meaning.
	// +optional
	Pod *PodRuntimeSettings `json:"pod,omitempty"`
	// Container settings; they hold for the sidecar, the init-container and the containers of Jobs.
	// +optional
	Container *ContainerRuntimeSettings `json:"container,omitempty"`
}

// PodRuntimeSettings shape a pod.
type PodRuntimeSettings struct {
	// PodLabels are added to the pod.
	// +optional
	PodLabels map[string]string `json:"podLabels,omitempty"`
	// PodAnnotations are added to the pod.
	// +optional
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`
	// NodeSelector of the pod.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// ServiceAccountName that the pod runs as.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// ServiceAccountAnnotations are put on a generated ServiceAccount.
	// +optional
	ServiceAccountAnnotations map[string]string `json:"serviceAccountAnnotations,omitempty"`
	// AutomountServiceAccountToken of the pod.
	// +optional
	AutomountServiceAccountToken *bool `json:"automountServiceAccountToken,omitempty"`
	// NodeName to run on.
	// +optional
	NodeName string `json:"nodeName,omitempty"`
	// SecurityContext of the pod.
	// +optional
	SecurityContext *corev1.PodSecurityContext `json:"securityContext,omitempty"`
	// ImagePullSecrets are added to the pod's own.
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// Affinity of the pod.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// SchedulerName of the pod.
	// +optional
	SchedulerName string `json:"schedulerName,omitempty"`
	// Tolerations of the pod.
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// PriorityClassName of the pod.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// Priority of the pod.
	// +optional
	Priority *int32 `json:"priority,omitempty"`
	// ReadinessGates of the pod.
	// +optional
	ReadinessGates []corev1.PodReadinessGate `json:"readinessGates,omitempty"`
	// RuntimeClassName of the pod.
	// +optional
	RuntimeClassName *string `json:"runtimeClassName,omitempty"`
	// EnableServiceLinks of the pod.
	// +optional
	EnableServiceLinks *bool `json:"enableServiceLinks,omitempty"`
	// TopologySpreadConstraints of the pod.
	// +optional
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`
}

// ContainerRuntimeSettings shape a container.
type ContainerRuntimeSettings struct {
	// Resources of the container.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitzero"`
	// LivenessProbe of the container.
	// +optional
	LivenessProbe *corev1.Probe `json:"livenessProbe,omitempty"`
	// ReadinessProbe of the container.
	// +optional
	ReadinessProbe *corev1.Probe `json:"readinessProbe,omitempty"`
	// Lifecycle of the container.
	// +optional
	Lifecycle *corev1.Lifecycle `json:"lifecycle,omitempty"`
	// SecurityContext of the container; it replaces ours field by field.
	// +optional
	SecurityContext *corev1.SecurityContext `json:"securityContext,omitempty"`
	// Nice lowers the CPU priority of restic.
	// +optional
	Nice *NiceSettings `json:"nice,omitempty"`
	// IONice lowers the I/O priority of restic.
	// +optional
	IONice *IONiceSettings `json:"ionice,omitempty"`
	// Env is added to the container.
	// +optional
	Env []corev1.EnvVar `json:"env,omitempty"`
	// EnvFrom is added to the container.
	// +optional
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`
}

// NiceSettings is nice(1).
type NiceSettings struct {
	// Adjustment is nice's, -20 to 19.
	// +kubebuilder:validation:Minimum=-20
	// +kubebuilder:validation:Maximum=19
	// +optional
	Adjustment *int32 `json:"adjustment,omitempty"`
}

// IONiceSettings is ionice(1).
type IONiceSettings struct {
	// Class is ionice's: 1 realtime, 2 best-effort, 3 idle.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3
	// +optional
	Class *int32 `json:"class,omitempty"`
	// ClassData is ionice's level inside the class, 0 to 7.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=7
	// +optional
	ClassData *int32 `json:"classData,omitempty"`
}

// EmptyDirSettings shape the temporary volume that holds restic's cache.
type EmptyDirSettings struct {
	// Medium is empty (disk) or Memory.
	// +kubebuilder:validation:Enum="";Memory
	// +optional
	Medium corev1.StorageMedium `json:"medium,omitempty"`
	// SizeLimit of the volume; the cache is kept below it.
	// +optional
	SizeLimit *resource.Quantity `json:"sizeLimit,omitempty"`
	// DisableCaching runs restic without a cache. Default: false.
	// +optional
	DisableCaching bool `json:"disableCaching,omitempty"`
	// DisableCache is the draft's name of disableCaching.
	// +optional
	DisableCache bool `json:"disableCache,omitempty"`
}

// RetentionPolicy says which snapshots are kept; the newest complete one that holds data always is.
// Where it says of nothing that it is kept, nothing is removed.
type RetentionPolicy struct {
	// Name of the policy, for people.
	// +optional
	Name string `json:"name,omitempty"`
	// KeepLast keeps the newest n snapshots.
	// +kubebuilder:validation:Minimum=0
	// +optional
	KeepLast int64 `json:"keepLast,omitempty"`
	// KeepHourly keeps the newest snapshot of each of the last n hours that have one.
	// +kubebuilder:validation:Minimum=0
	// +optional
	KeepHourly int64 `json:"keepHourly,omitempty"`
	// KeepDaily keeps the newest snapshot of each of the last n days that have one.
	// +kubebuilder:validation:Minimum=0
	// +optional
	KeepDaily int64 `json:"keepDaily,omitempty"`
	// KeepWeekly keeps the newest snapshot of each of the last n weeks that have one.
	// +kubebuilder:validation:Minimum=0
	// +optional
	KeepWeekly int64 `json:"keepWeekly,omitempty"`
	// KeepMonthly keeps the newest snapshot of each of the last n months that have one.
	// +kubebuilder:validation:Minimum=0
	// +optional
	KeepMonthly int64 `json:"keepMonthly,omitempty"`
	// KeepYearly keeps the newest snapshot of each of the last n years that have one.
	// +kubebuilder:validation:Minimum=0
	// +optional
	KeepYearly int64 `json:"keepYearly,omitempty"`
	// KeepTags keeps all snapshots with these tags.
	// +optional
	KeepTags []string `json:"keepTags,omitempty"`
	// Prune removes the data of forgotten snapshots, at most once a day. Default: false.
	// +optional
	Prune bool `json:"prune,omitempty"`
	// DryRun only computes what would be removed, and says it in conditions. Default: false.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
}

// IsEmpty tells that the policy says of nothing that it is kept: then nothing is ever removed.
func (p *RetentionPolicy) IsEmpty() bool {
	return p.KeepLast == 0 && p.KeepHourly == 0 && p.KeepDaily == 0 && p.KeepWeekly == 0 &&
		p.KeepMonthly == 0 && p.KeepYearly == 0 && len(p.KeepTags) == 0
}

// RetryConfig says how a failed session is retried.
type RetryConfig struct {
	// MaxRetry is how many times; 0: not at all. Default: 1.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaxRetry *int32 `json:"maxRetry,omitempty"`
	// Delay before each retry, for example 10m.
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+)$')",message="must be a duration, for example 10m",reason=FieldValueInvalid
	// +optional
	Delay *metav1.Duration `json:"delay,omitempty"`
}

// DefaultMaxRetry is MaxRetry of a RetryConfig that does not say.
const DefaultMaxRetry = 1

// Retries returns how many times a failed session is retried; a missing RetryConfig asks for none.
func (c *RetryConfig) Retries() int32 {
	switch {
	case c == nil:
		return 0
	case c.MaxRetry == nil:
		return DefaultMaxRetry
	}
	return *c.MaxRetry
}

// PersistentVolumeClaimTemplate is a claim to be created.
type PersistentVolumeClaimTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata of the claim.
	// +optional
	PartialObjectMeta `json:"metadata,omitzero"`
	// Spec of the claim.
	// +optional
	Spec corev1.PersistentVolumeClaimSpec `json:"spec,omitzero"`
	// Status is accepted because manifests carry it; it has no meaning.
	// +optional
	Status *corev1.PersistentVolumeClaimStatus `json:"status,omitempty"`
}

// PartialObjectMeta is the metadata that a template may set.
type PartialObjectMeta struct {
	// Name of the object.
	// +optional
	Name string `json:"name,omitempty"`
	// GenerateName of the object.
	// +optional
	GenerateName string `json:"generateName,omitempty"`
	// Namespace of the object.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Labels of the object.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the object.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// CreationTimestamp is accepted because encoded templates carry it; it has no meaning.
	// +nullable
	// +optional
	CreationTimestamp *metav1.Time `json:"creationTimestamp,omitempty"`
	// OwnerReferences of the object.
	// +optional
	OwnerReferences []metav1.OwnerReference `json:"ownerReferences,omitempty"`
}
