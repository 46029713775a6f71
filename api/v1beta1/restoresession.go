package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
)

// RestoreSession brings data back, once.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=restoresessions,singular=restoresession,shortName=restore,categories={stash,appscode,all}
// +kubebuilder:printcolumn:name="Repository",type=string,JSONPath=`.spec.repository.name`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target.ref.name`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress`
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.status.sessionDuration`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.reason`
type RestoreSession struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec says what is restored into what. It cannot be changed.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the spec of a RestoreSession cannot be changed: create another one",reason=FieldValueForbidden
	// +optional
	Spec RestoreSessionSpec `json:"spec,omitzero"`
	// Status says how far it is.
	// +optional
	Status RestoreSessionStatus `json:"status,omitzero"`
}

// RestoreSessionList is a list of RestoreSessions.
//
// +kubebuilder:object:root=true
type RestoreSessionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RestoreSession `json:"items"`
}

// RestoreSessionSpec says what is restored into what.
type RestoreSessionSpec struct {
	// Driver is Restic (default) or VolumeSnapshotter. Not supported yet: VolumeSnapshotter is refused.
	// +kubebuilder:validation:Enum=Restic;VolumeSnapshotter
	// +kubebuilder:default=Restic
	// +optional
	Driver string `json:"driver,omitempty"`
	// Repository that the snapshots come from.
	// +optional
	Repository KindRepositoryRef `json:"repository,omitzero"`
	// Task names the Task of a restore by Job; empty for the volumes of a workload. Not supported yet:
	// a Task is refused.
	// +optional
	Task TaskRef `json:"task,omitzero"`
	// Target is what is restored.
	// +optional
	Target *RestoreTarget `json:"target,omitempty"`
	// RuntimeSettings shape the pod and container that restore.
	// +optional
	RuntimeSettings RuntimeSettings `json:"runtimeSettings,omitzero"`
	// TempDir shapes the volume that holds restic's cache.
	// +optional
	TempDir EmptyDirSettings `json:"tempDir,omitzero"`
	// InterimVolumeTemplate is a claim for data on its way. Not supported yet: it is refused.
	// +optional
	InterimVolumeTemplate *PersistentVolumeClaimTemplate `json:"interimVolumeTemplate,omitempty"`
	// Hooks run before and after the restore. Not supported yet: they are refused.
	// +optional
	Hooks *RestoreHooks `json:"hooks,omitempty"`
	// TimeOut ends a restore that takes longer, for example 2h. Default: none.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="must be a positive duration, for example 2h or 1h30m; leave it out for no limit",reason=FieldValueInvalid
	// +optional
	TimeOut *metav1.Duration `json:"timeOut,omitempty"`
	// Rules is the deprecated place of target.rules.
	// +kubebuilder:validation:MaxItems=10000
	// +kubebuilder:validation:XValidation:rule="self.filter(r, r.?targetHosts.orValue([]).size() == 0 && r.?hosts.orValue([]).size() == 0).size() <= 1",message="only one rule may leave targetHosts empty, and it holds for all hosts that no other names: name the hosts of the others",reason=FieldValueInvalid
	// +optional
	Rules []Rule `json:"rules,omitempty"`
}

// RestoreTarget is what is restored.
type RestoreTarget struct {
	// Alias is that of the backup: it replaces "host" in host names.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Alias string `json:"alias,omitempty"`
	// Ref names the target.
	// +optional
	Ref TargetRef `json:"ref,omitzero"`
	// VolumeMounts mount the target's volumes into the container that restores, at the paths of
	// the backup.
	// +kubebuilder:validation:MaxItems=1000
	// +optional
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`
	// Replicas is the number of claims to create from each of volumeClaimTemplates. Not supported yet:
	// it is refused.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// VolumeClaimTemplates are claims that are created before the restore. Not supported yet: they are
	// refused.
	// +optional
	VolumeClaimTemplates []PersistentVolumeClaimTemplate `json:"volumeClaimTemplates,omitempty"`
	// Rules say which host gets what. The first whose targetHosts names the host holds, else the
	// one without targetHosts.
	// +kubebuilder:validation:MaxItems=10000
	// +kubebuilder:validation:XValidation:rule="self.filter(r, r.?targetHosts.orValue([]).size() == 0 && r.?hosts.orValue([]).size() == 0).size() <= 1",message="only one rule may leave targetHosts empty, and it holds for all hosts that no other names: name the hosts of the others",reason=FieldValueInvalid
	// +optional
	Rules []Rule `json:"rules,omitempty"`
	// Args are further arguments of restic restore; only those of the list in
	// docs/operations/tuning.md are accepted.
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=8192
	// +optional
	Args []string `json:"args,omitempty"`

	// Directories is the draft's form of one rule's paths.
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=4095
	// +optional
	Directories []string `json:"directories,omitempty"`
	// MountPath is the draft's way to say where a PersistentVolumeClaim is mounted; write volumeMounts. Of
	// other targets it is refused.
	// +optional
	MountPath string `json:"mountPath,omitempty"`
	// InUse says what to do where a pod uses the PersistentVolumeClaim that is to be restored: Refuse
	// (default) refuses the RestoreSession, and waits a few minutes for one that came later; Restore writes under the pod. It has no meaning
	// for workloads, whose pods are replaced.
	// +optional
	InUse InUse `json:"inUse,omitempty"`
}

// InUse says what becomes of a restore into a claim that a pod uses.
//
// +kubebuilder:validation:Enum=Refuse;Restore
type InUse string

// Values of InUse.
const (
	InUseRefuse  InUse = "Refuse"
	InUseRestore InUse = "Restore"
)

// ExistingFiles says what becomes of files that are in the volume and not in the snapshot.
//
// +kubebuilder:validation:Enum=Keep;Delete
type ExistingFiles string

// Values of ExistingFiles.
const (
	ExistingFilesKeep   ExistingFiles = "Keep"
	ExistingFilesDelete ExistingFiles = "Delete"
)

// Rule says what a set of hosts gets.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.snapshots) && self.snapshots.size() > 0 && has(self.paths) && self.paths.size() > 0)",message="snapshots and paths exclude each other: a snapshot already names its path; remove one of them",reason=FieldValueInvalid
type Rule struct {
	// TargetHosts are the hosts that the rule is for; empty: all that no other rule names.
	// +kubebuilder:validation:MaxItems=1000
	// +optional
	TargetHosts []string `json:"targetHosts,omitempty"`
	// SourceHost is the host whose snapshots are restored. Default: the target host itself.
	// +optional
	SourceHost string `json:"sourceHost,omitempty"`
	// Snapshots are restic IDs, or latest for what a rule without snapshots and paths restores: the newest
	// of each path that the host ever had, but for what newer snapshots hold. Excludes paths.
	// +kubebuilder:validation:MaxItems=1000
	// +optional
	Snapshots []string `json:"snapshots,omitempty"`
	// Paths are restored from the newest snapshots of them or of a directory above. Excludes snapshots.
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=4095
	// +optional
	Paths []string `json:"paths,omitempty"`
	// Include are restic's patterns of files to restore. Default: all.
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=4095
	// +optional
	Include []string `json:"include,omitempty"`
	// Exclude are restic's patterns of files not to restore.
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=4095
	// +optional
	Exclude []string `json:"exclude,omitempty"`
	// ExistingFiles says what becomes of files that the snapshot does not have: Keep (default) or
	// Delete.
	// +optional
	ExistingFiles ExistingFiles `json:"existingFiles,omitempty"`
	// Hosts is the draft's name of targetHosts.
	// +optional
	Hosts []string `json:"hosts,omitempty"`
}

// RestorePhase is how far a restore is.
//
// +kubebuilder:validation:Enum=Pending;Running;Succeeded;Failed;Unknown;Invalid
type RestorePhase string

// Values of RestorePhase.
const (
	RestorePending   RestorePhase = "Pending"
	RestoreRunning   RestorePhase = "Running"
	RestoreSucceeded RestorePhase = "Succeeded"
	RestoreFailed    RestorePhase = "Failed"
	RestoreUnknown   RestorePhase = "Unknown"
	RestoreInvalid   RestorePhase = "Invalid"
)

// RestoreSessionStatus is how far a restore is.
type RestoreSessionStatus struct {
	// Phase of the restore.
	// +optional
	Phase RestorePhase `json:"phase,omitempty"`
	// Reason says in one sentence why the restore is in its phase.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Progress is for people: percent and time left of a running restore.
	// +optional
	Progress string `json:"progress,omitempty"`
	// TotalHosts is the number of hosts to restore.
	// +optional
	TotalHosts *int32 `json:"totalHosts,omitempty"`
	// SessionDuration is the time from creation to end.
	// +optional
	SessionDuration string `json:"sessionDuration,omitempty"`
	// SessionDeadline is creation plus timeOut.
	// +optional
	SessionDeadline *metav1.Time `json:"sessionDeadline,omitempty"`
	// CompletionTime is when the restore ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Stats are the results of hosts, one each.
	// +optional
	Stats []HostRestoreStats `json:"stats,omitempty"`
	// Conditions: RepositoryFound, BackendSecretFound, ValidationPassed, RestoreTargetFound,
	// SnapshotsPinned, NamespaceClosed, StashInitContainerInjected, RestoreCompleted, DeadlineExceeded.
	// +optional
	Conditions []api.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the metadata.generation that the status was set for.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// ReadyTime is since when a restore that is done by Jobs waits for nothing but their pods.
	// +optional
	ReadyTime *metav1.Time `json:"readyTime,omitempty"`
	// Hash is the value of the restore label on the target's pods.
	// +optional
	Hash string `json:"hash,omitempty"`
	// Pinned are the snapshots to restore, fixed before anything changes.
	// +optional
	Pinned []PinnedSnapshot `json:"pinned,omitempty"`
	// LeftAlone are the hosts of the target for which there is no rule: their pods start on what is in
	// their volumes.
	// +optional
	LeftAlone []string `json:"leftAlone,omitempty"`
	// Restored records what must never be restored again.
	// +optional
	Restored []RestoredHost `json:"restored,omitempty"`
	// Assignments say which pod restores which host, while it does.
	// +optional
	Assignments []Assignment `json:"assignments,omitempty"`
}

// PinnedSnapshot is a snapshot chosen for a host.
type PinnedSnapshot struct {
	// Hostname that gets it.
	Hostname string `json:"hostname"`
	// ID is restic's full snapshot ID.
	ID string `json:"id"`
	// Path of the snapshot.
	Path string `json:"path"`
	// SourceHost that it was taken of.
	// +optional
	SourceHost string `json:"sourceHost,omitempty"`
	// Time is when it was taken.
	// +optional
	Time metav1.Time `json:"time,omitzero"`
	// Rule is the index of the rule that chose it.
	// +optional
	Rule int32 `json:"rule,omitempty"`
	// Remark says what is particular about the choice: that newer backups of the host do not hold the
	// path, or which other paths of the host are taken from it.
	// +optional
	Remark string `json:"remark,omitempty"`
}

// RestoredHost records a finished restore by what was written to.
type RestoredHost struct {
	// Hostname that was restored.
	Hostname string `json:"hostname"`
	// Pod that restored it.
	// +optional
	Pod string `json:"pod,omitempty"`
	// PodUID is the pod's UID.
	// +optional
	PodUID string `json:"podUID,omitempty"`
	// Claims are the volumes that were written to and outlive the pod: the UIDs of
	// PersistentVolumeClaims, and digests of what other volumes are (a folder of a node, a share); a
	// part of a volume, mounted by subPath, follows a slash.
	// +optional
	Claims []string `json:"claims,omitempty"`
	// Time is when it ended.
	// +optional
	Time metav1.Time `json:"time,omitzero"`
}

// HostRestorePhase is the result of a host.
//
// +kubebuilder:validation:Enum=Succeeded;Failed;Running;Unknown
type HostRestorePhase string

// Values of HostRestorePhase.
const (
	HostRestoreSucceeded HostRestorePhase = "Succeeded"
	HostRestoreFailed    HostRestorePhase = "Failed"
	HostRestoreRunning   HostRestorePhase = "Running"
	HostRestoreUnknown   HostRestorePhase = "Unknown"
)

// HostRestoreStats is the result of one host.
type HostRestoreStats struct {
	// Hostname that was restored.
	// +optional
	Hostname string `json:"hostname,omitempty"`
	// Phase of the host: Unknown while the snapshots of one that appeared later are looked for.
	// +optional
	Phase HostRestorePhase `json:"phase,omitempty"`
	// Duration of the host's restore.
	// +optional
	Duration string `json:"duration,omitempty"`
	// Error of a failed restore.
	// +optional
	Error string `json:"error,omitempty"`
	// Files restored.
	// +optional
	Files int64 `json:"files,omitempty"`
	// Bytes restored.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
}
