package mutators

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Level is a Pod Security level.
type Level string

// Levels of Pod Security; the empty one counts as privileged.
const (
	Privileged Level = "privileged"
	Baseline   Level = "baseline"
	Restricted Level = "restricted"
)

// Settings are the operator's; they are the same for all pods. None of them is in a hash, but the
// injection version.
type Settings struct {
	// Image of our containers, and how it is pulled.
	Image           string
	ImagePullPolicy corev1.PullPolicy
	// PullSecrets are names of Secrets that exist in the pod's namespace.
	PullSecrets []string
	// BrokerAddress is host:port; ServerName is what its certificate is for.
	BrokerAddress string
	ServerName    string
	// NativeSidecar makes the sidecar an init-container with restartPolicy Always; every kubelet
	// must be 1.29 or newer.
	NativeSidecar bool
	// InjectionVersion is raised by the leader where running pods must get something new.
	InjectionVersion int
	// Resources of our containers where the user says nothing: requests hold always, limits only
	// where quota or Guaranteed QoS asks for them. The zero value stands for DefaultResources.
	Resources corev1.ResourceRequirements
}

// Namespace is what the pod's namespace asks of pods.
type Namespace struct {
	// PodSecurity is the enforced level.
	PodSecurity Level
	// LimitsRequired tells that a ResourceQuota counts limits, so that a pod without them is refused.
	LimitsRequired bool
}

// BackupInput is all that a backup plan is made of.
type BackupInput struct {
	// Template is the workload's pod template, ClaimTemplates the names of a StatefulSet's
	// volumeClaimTemplates.
	Template       corev1.PodTemplateSpec
	ClaimTemplates []string
	// Configurations are those that target the workload, the one that holds in a conflict first.
	Configurations []Configuration
	Namespace      Namespace
	Settings       Settings
}

// Configuration is one BackupConfiguration of a workload.
type Configuration struct {
	// Name is <namespace>/<name>, for problems.
	Name string
	// Spec in the shipped dialect (BackupConfigurationSpec.Shipped).
	Spec v1beta1.BackupConfigurationSpec
	// Local is the volume of its Repository's backend; nil for other backends.
	Local *v1alpha1.LocalSpec
}

// RestoreInput is all that a restore plan is made of.
type RestoreInput struct {
	Template       corev1.PodTemplateSpec
	ClaimTemplates []string
	// Name is <namespace>/<name> of the RestoreSession, UID its UID.
	Name string
	UID  string
	// Spec in the shipped dialect (RestoreSessionSpec.Shipped).
	Spec v1beta1.RestoreSessionSpec
	// Local is the volume of its Repository's backend; nil for other backends.
	Local     *v1alpha1.LocalSpec
	Namespace Namespace
	Settings  Settings
}

// DefaultResources are those of our containers where nobody says otherwise: an idle agent's as
// requests, and limits that restic lives with.
func DefaultResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("10m"),
			corev1.ResourceMemory: resource.MustParse("32Mi"),
		},
		Limits: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("500m"),
			corev1.ResourceMemory: resource.MustParse("512Mi"),
		},
	}
}
