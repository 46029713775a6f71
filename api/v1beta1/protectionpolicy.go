package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
)

// ProtectionPolicy says what must be backed up in a cluster, and what happens to what is not. It
// changes nothing of what it selects.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=protectionpolicies,singular=protectionpolicy,shortName=pp,scope=Cluster,categories={stash,appscode}
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.action`
// +kubebuilder:printcolumn:name="Selected",type=integer,JSONPath=`.status.selected`,description="objects that must be protected"
// +kubebuilder:printcolumn:name="Protected",type=integer,JSONPath=`.status.protected`
// +kubebuilder:printcolumn:name="Unprotected",type=integer,JSONPath=`.status.unprotected`
// +kubebuilder:printcolumn:name="Exempt",type=integer,JSONPath=`.status.exempt`,description="objects whose annotation says why they need no backup"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="AllProtected")].message`
type ProtectionPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec says what must be backed up.
	Spec ProtectionPolicySpec `json:"spec"`
	// Status says what is.
	// +optional
	Status ProtectionPolicyStatus `json:"status,omitzero"`
}

// ProtectionPolicyList is a list of ProtectionPolicies.
//
// +kubebuilder:object:root=true
type ProtectionPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ProtectionPolicy `json:"items"`
}

// ProtectionAction is what happens to what is not protected.
//
// +kubebuilder:validation:Enum=Audit;Warn;Deny;Default
type ProtectionAction string

// Values of ProtectionAction.
const (
	// ActionAudit only says it in the status.
	ActionAudit ProtectionAction = "Audit"
	// ActionWarn also warns who writes it.
	ActionWarn ProtectionAction = "Warn"
	// ActionDeny refuses a request that creates it or makes it so.
	ActionDeny ProtectionAction = "Deny"
	// ActionDefault has it backed up by a blueprint.
	ActionDefault ProtectionAction = "Default"
)

// StorageScope selects workloads by the storage that they have.
//
// +kubebuilder:validation:Enum=Persistent;Any
type StorageScope string

// Values of StorageScope.
const (
	// StoragePersistent selects workloads with a volume that outlives their pods.
	StoragePersistent StorageScope = "Persistent"
	// StorageAny selects workloads without volumes, too.
	StorageAny StorageScope = "Any"
)

// ProtectionExisting is what an update gets that leaves an object as unprotected as it was.
//
// +kubebuilder:validation:Enum=Warn;Deny
type ProtectionExisting string

// Values of ProtectionExisting.
const (
	// ExistingWarn lets it pass with a warning.
	ExistingWarn ProtectionExisting = "Warn"
	// ExistingDeny refuses it.
	ExistingDeny ProtectionExisting = "Deny"
)

// ProtectionKind is a kind of object that a policy can select.
//
// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet;PersistentVolumeClaim
type ProtectionKind string

// ProtectionPolicySpec says what must be backed up, and what happens to what is not.
//
// +kubebuilder:validation:XValidation:rule="self.action != 'Default' || has(self.default)",message="action Default needs the blueprint that is applied; for example default: {blueprint: daily}",fieldPath=".default",reason=FieldValueRequired
// +kubebuilder:validation:XValidation:rule="self.action == 'Default' || !has(self.default)",message="is for action Default only: remove it, or write action: Default",fieldPath=".default",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="self.action != 'Default' || !has(self.kinds) || !('PersistentVolumeClaim' in self.kinds)",message="action Default is not supported yet for a PersistentVolumeClaim without a workload: leave it out here, and write a second policy with action Audit, Warn or Deny for it",fieldPath=".kinds",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="self.action != 'Default' || !has(self.storage) || self.storage == 'Persistent'",message="action Default backs up persistent volumes: write storage: Persistent, or leave it out",fieldPath=".storage",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.default) || !has(self.require) || !has(self.require.blueprints) || self.default.blueprint in self.require.blueprints",message="must be one of require.blueprints, else what is applied does not count",fieldPath=".default.blueprint",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="self.action == 'Deny' || !has(self.existing)",message="is for action Deny only: remove it",fieldPath=".existing",reason=FieldValueForbidden
type ProtectionPolicySpec struct {
	// Action is what happens to what is not protected: Audit (status, events and metrics say it), Warn
	// (also a warning to who writes it), Deny (a request that creates it, or makes it so, is refused) or
	// Default (a blueprint is applied). Default: Audit.
	// +kubebuilder:default=Audit
	// +optional
	Action ProtectionAction `json:"action,omitempty"`
	// NamespaceSelector matches labels of namespaces. Default: all. The namespaces that a cluster needs
	// to run, and that of Stash, are never selected.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// ObjectSelector matches labels of the objects. Default: all.
	// +optional
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`
	// Kinds of the objects. Default: Deployment, StatefulSet and DaemonSet.
	// +kubebuilder:default={Deployment,StatefulSet,DaemonSet}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +listType=set
	// +optional
	Kinds []ProtectionKind `json:"kinds,omitempty"`
	// Storage is Persistent or Any: whether only workloads with a volume that outlives their pods are
	// selected. Default: Persistent.
	// +optional
	Storage StorageScope `json:"storage,omitempty"`
	// Require says which backups count. Default: any.
	// +optional
	Require ProtectionRequirements `json:"require,omitzero"`
	// Existing is what an update gets, under action Deny, that leaves an object as unprotected as it was
	// before: Warn or Deny. Default: Warn, so that a fix of the application is not held up.
	// +optional
	Existing ProtectionExisting `json:"existing,omitempty"`
	// Default is what action Default applies.
	// +optional
	Default *ProtectionDefault `json:"default,omitempty"`
}

// ProtectionRequirements say which backups count. One BackupConfiguration must meet all of them.
type ProtectionRequirements struct {
	// Blueprints are the names of the BackupBlueprints or BackupTemplates of which one must have made
	// the BackupConfiguration. Default: any, or none.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	// +optional
	Blueprints []string `json:"blueprints,omitempty"`
	// Repositories are those of which one must hold the snapshots. Default: any.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Repositories []RequiredRepository `json:"repositories,omitempty"`
	// MaxInterval is the longest time that may lie between two scheduled backups, for example 24h. A
	// configuration that is paused or has no schedule does not meet it.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s|ms))+$') && duration(self) >= duration('1m')",message="must be a duration of at least 1m in hours, minutes and seconds, for example 24h; leave it out for no limit",reason=FieldValueInvalid
	// +optional
	MaxInterval *metav1.Duration `json:"maxInterval,omitempty"`
	// MinRetention is how far back the oldest snapshot must reach that schedule and retention policy
	// keep, at the worst moment, for example 720h for 30 days: keepDaily 32, or 31 of a daily schedule. A
	// configuration without a schedule does not meet it.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s|ms))+$') && duration(self) >= duration('1m')",message="must be a duration of at least 1m in hours, minutes and seconds, for example 720h for 30 days; leave it out for no limit",reason=FieldValueInvalid
	// +optional
	MinRetention *metav1.Duration `json:"minRetention,omitempty"`
}

// RequiredRepository names Repositories by what all of its fields say.
//
// +kubebuilder:validation:XValidation:rule="has(self.__namespace__) || has(self.name) || has(self.location)",message="means any Repository: write its namespace, name or location, or leave repositories out",reason=FieldValueRequired
type RequiredRepository struct {
	// Namespace of the Repository. Default: any.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the Repository. Default: any.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// Location is the place of the Repository or a folder above it, for example
	// s3://s3.example.com/backups. Default: any.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^(s3|local)://[^/]')",message="must be a place as Stash spells it: s3://<host>/<bucket>[/<prefix>] or local://<kind>/...; for example s3://s3.example.com/backups",reason=FieldValueInvalid
	// +optional
	Location string `json:"location,omitempty"`
}

// ProtectionDefault is what action Default applies to each object that neither names a blueprint of its
// own, nor has a BackupConfiguration that somebody wrote, nor is exempt.
type ProtectionDefault struct {
	// Blueprint is the name of a BackupBlueprint or BackupTemplate.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Blueprint string `json:"blueprint"`
}

// ProtectionPolicyStatus says what of the selected objects is protected.
type ProtectionPolicyStatus struct {
	// ObservedGeneration is the metadata.generation that the status was set for.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: ValidationPassed, Enforced, AllProtected.
	// +optional
	Conditions []api.Condition `json:"conditions,omitempty"`
	// Namespaces is how many namespaces are selected.
	// +optional
	Namespaces int32 `json:"namespaces"`
	// Selected is how many objects are selected.
	// +optional
	Selected int32 `json:"selected"`
	// Protected is how many of them meet what is required.
	// +optional
	Protected int32 `json:"protected"`
	// Unprotected is how many of them do not.
	// +optional
	Unprotected int32 `json:"unprotected"`
	// Exempt is how many of them say in an annotation why they need no backup.
	// +optional
	Exempt int32 `json:"exempt"`
	// UnprotectedObjects are the first of them by namespace, kind and name, at most 50.
	// +listType=atomic
	// +optional
	UnprotectedObjects []UnprotectedObject `json:"unprotectedObjects,omitempty"`
	// ExemptObjects are the first of them by namespace, kind and name, at most 50.
	// +listType=atomic
	// +optional
	ExemptObjects []ExemptObject `json:"exemptObjects,omitempty"`
}

// UnprotectedObject is an object that is selected and not protected.
type UnprotectedObject struct {
	// Kind of the object.
	Kind string `json:"kind"`
	// Namespace of the object.
	Namespace string `json:"namespace"`
	// Name of the object.
	Name string `json:"name"`
	// Reasons in one word each, for example NoBackup.
	Reasons []string `json:"reasons"`
	// Message says what is missing and what to do.
	// +optional
	Message string `json:"message,omitempty"`
}

// ExemptObject is an object that is selected and says why it needs no backup.
type ExemptObject struct {
	// Kind of the object.
	Kind string `json:"kind"`
	// Namespace of the object.
	Namespace string `json:"namespace"`
	// Name of the object.
	Name string `json:"name"`
	// Reason is what the annotation says.
	Reason string `json:"reason"`
}
