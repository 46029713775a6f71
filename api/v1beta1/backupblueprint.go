package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1alpha1"
)

// BackupBlueprint is what a target's annotation expands into: a Repository and a
// BackupConfiguration. Every string may hold variables, for example ${TARGET_NAMESPACE}.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=backupblueprints,singular=backupblueprint,shortName=bb,scope=Cluster,categories={stash,appscode}
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BackupBlueprint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec is what an annotation expands into.
	// +optional
	Spec BackupBlueprintSpec `json:"spec,omitzero"`
	// Status has no fields yet.
	// +optional
	Status BackupBlueprintStatus `json:"status,omitzero"`
}

// BackupBlueprintList is a list of BackupBlueprints.
//
// +kubebuilder:object:root=true
type BackupBlueprintList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BackupBlueprint `json:"items"`
}

// BackupTemplate is the design document's name of a BackupBlueprint and means the same.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=backuptemplates,singular=backuptemplate,shortName=bt,scope=Cluster,categories={stash,appscode}
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BackupTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec is what an annotation expands into.
	// +optional
	Spec BackupBlueprintSpec `json:"spec,omitzero"`
	// Status has no fields yet.
	// +optional
	Status BackupBlueprintStatus `json:"status,omitzero"`
}

// BackupTemplateList is a list of BackupTemplates.
//
// +kubebuilder:object:root=true
type BackupTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BackupTemplate `json:"items"`
}

// BackupBlueprintSpec is what an annotation expands into.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.wipeOut) && self.wipeOut && has(self.backend) && (has(self.backend.local) || has(self.backend.b2)))",message="wipeOut is not possible on a local or b2 backend: remove wipeOut, and delete the data by hand when it is no longer wanted",fieldPath=".wipeOut",reason=FieldValueInvalid
type BackupBlueprintSpec struct {
	// Backend of the Repository.
	// +optional
	Backend v1alpha1.Backend `json:"backend,omitzero"`
	// WipeOut of the Repository. Not supported yet: true is refused.
	// +optional
	WipeOut bool `json:"wipeOut,omitempty"`
	// UsagePolicy of the Repository.
	// +optional
	UsagePolicy *v1alpha1.UsagePolicy `json:"usagePolicy,omitempty"`
	// AllowedNamespaces are those whose targets may name this blueprint. Default: all.
	// +optional
	AllowedNamespaces *v1alpha1.AllowedNamespaces `json:"allowedNamespaces,omitempty"`
	// BackupNamespace is where the BackupConfiguration goes. Default: the target's namespace.
	// +optional
	BackupNamespace string `json:"backupNamespace,omitempty"`
	// RepoNamespace is where the Repository goes. Default: the target's namespace.
	// +optional
	RepoNamespace string `json:"repoNamespace,omitempty"`

	// Schedule of the BackupConfiguration.
	// +optional
	Schedule string `json:"schedule,omitempty"`
	// TimeZone of the BackupConfiguration.
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
	// RetentionPolicy of the BackupConfiguration.
	RetentionPolicy RetentionPolicy `json:"retentionPolicy"`
	// Task of the BackupConfiguration. Not supported yet: a Task is refused.
	// +optional
	Task TaskRef `json:"task,omitzero"`
	// RuntimeSettings of the BackupConfiguration.
	// +optional
	RuntimeSettings RuntimeSettings `json:"runtimeSettings,omitzero"`
	// TempDir of the BackupConfiguration.
	// +optional
	TempDir EmptyDirSettings `json:"tempDir,omitzero"`
	// InterimVolumeTemplate of the BackupConfiguration. Not supported yet: it is refused.
	// +optional
	InterimVolumeTemplate *PersistentVolumeClaimTemplate `json:"interimVolumeTemplate,omitempty"`
	// Hooks of the BackupConfiguration. Not supported yet: they are refused.
	// +optional
	Hooks *BackupHooks `json:"hooks,omitempty"`
	// BackupHistoryLimit of the BackupConfiguration.
	// +kubebuilder:validation:Minimum=0
	// +optional
	BackupHistoryLimit *int32 `json:"backupHistoryLimit,omitempty"`
	// TimeOut of the BackupConfiguration.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="must be a positive duration, for example 2h or 1h30m; leave it out for no limit",reason=FieldValueInvalid
	// +optional
	TimeOut *metav1.Duration `json:"timeOut,omitempty"`
	// RetryConfig of the BackupConfiguration.
	// +optional
	RetryConfig *RetryConfig `json:"retryConfig,omitempty"`
	// RolloutPolicy of the BackupConfiguration.
	// +optional
	RolloutPolicy RolloutPolicy `json:"rolloutPolicy,omitempty"`
}

// BackupBlueprintStatus has no fields yet.
type BackupBlueprintStatus struct{}
