package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
)

// Repository names a restic repository: the place in a storage backend where the snapshots of one
// target are kept. It is never owned by its target and outlives it: it is the way back.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=repositories,singular=repository,shortName=repo,categories={stash,appscode}
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`,description="Ready once the backend answered"
// +kubebuilder:printcolumn:name="Integrity",type=boolean,JSONPath=`.status.integrity`,description="result of the last restic check"
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.status.totalSize`,description="stored bytes, after deduplication and compression"
// +kubebuilder:printcolumn:name="Snapshot-Count",type=integer,JSONPath=`.status.snapshotCount`
// +kubebuilder:printcolumn:name="Last-Successful-Backup",type=date,format=date-time,JSONPath=`.status.lastBackupTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="BackendReachable")].message`
type Repository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec says where the repository is and who may use it.
	// +optional
	Spec RepositorySpec `json:"spec,omitzero"`
	// Status says what was found there.
	// +optional
	Status RepositoryStatus `json:"status,omitzero"`
}

// RepositoryList is a list of Repositories.
//
// +kubebuilder:object:root=true
type RepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Repository `json:"items"`
}

// RepositorySpec says where the repository is and who may use it.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.wipeOut) && self.wipeOut && (has(self.backend.local) || has(self.backend.b2)))",message="wipeOut is not possible on a local or b2 backend: remove wipeOut, and delete the data by hand when it is no longer wanted",fieldPath=".wipeOut",reason=FieldValueInvalid
type RepositorySpec struct {
	// Backend is the storage. Exactly one of its blocks must be given.
	Backend Backend `json:"backend"`
	// WipeOut deletes the data in the backend when this object is deleted. Not supported yet: true is
	// refused. Default: false.
	// +optional
	WipeOut bool `json:"wipeOut,omitempty"`
	// UsagePolicy says from which namespaces the repository may be used. Default: its own only.
	// +optional
	UsagePolicy *UsagePolicy `json:"usagePolicy,omitempty"`
}

// UsagePolicy says from which namespaces an object may be used.
type UsagePolicy struct {
	// AllowedNamespaces selects the namespaces.
	// +optional
	AllowedNamespaces AllowedNamespaces `json:"allowedNamespaces,omitzero"`
}

// FromNamespaces is how namespaces are selected.
//
// +kubebuilder:validation:Enum=All;Selector;Same
type FromNamespaces string

// Values of FromNamespaces.
const (
	// NamespacesFromAll allows every namespace.
	NamespacesFromAll FromNamespaces = "All"
	// NamespacesFromSelector allows those whose labels match the selector.
	NamespacesFromSelector FromNamespaces = "Selector"
	// NamespacesFromSame allows the object's own namespace only.
	NamespacesFromSame FromNamespaces = "Same"
)

// AllowedNamespaces selects namespaces.
//
// +kubebuilder:validation:XValidation:rule="self.?from.orValue('Same') != 'Selector' || has(self.selector)",message="from: Selector needs the labels of the namespaces; for example {matchLabels: {team: shop}}",fieldPath=".selector",reason=FieldValueRequired
type AllowedNamespaces struct {
	// From is All, Selector or Same. Default: Same.
	// +kubebuilder:default=Same
	// +optional
	From FromNamespaces `json:"from,omitempty"`
	// Selector matches labels of namespaces; used where from is Selector.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// RepositoryPhase sums the conditions up in one word.
//
// +kubebuilder:validation:Enum=Pending;Ready;NotReady
type RepositoryPhase string

// Values of RepositoryPhase.
const (
	// RepositoryPending means that the backend was not asked yet.
	RepositoryPending RepositoryPhase = "Pending"
	// RepositoryReady means that the backend answered and the key fits.
	RepositoryReady RepositoryPhase = "Ready"
	// RepositoryNotReady means that it cannot be used; the conditions say why.
	RepositoryNotReady RepositoryPhase = "NotReady"
)

// RepositoryStatus is what was found in the backend.
type RepositoryStatus struct {
	// ObservedGeneration is the metadata.generation that the status was set for.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Phase sums the conditions up.
	// +optional
	Phase RepositoryPhase `json:"phase,omitempty"`
	// FirstBackupTime is when the oldest backup known to this object was taken.
	// +optional
	FirstBackupTime *metav1.Time `json:"firstBackupTime,omitempty"`
	// LastBackupTime is the creation time of the last successful BackupSession.
	// +optional
	LastBackupTime *metav1.Time `json:"lastBackupTime,omitempty"`
	// Integrity is the result of the last restic check.
	// +optional
	Integrity *bool `json:"integrity,omitempty"`
	// TotalSize is the size of the stored data, for example "1.2 GiB".
	// +optional
	TotalSize string `json:"totalSize,omitempty"`
	// TotalBytes is TotalSize as a number.
	// +optional
	TotalBytes int64 `json:"totalBytes,omitempty"`
	// SnapshotCount is the number of snapshots in the repository.
	// +optional
	SnapshotCount int64 `json:"snapshotCount,omitempty"`
	// SnapshotsRemovedOnLastCleanup is how many snapshots the last retention run removed.
	// +optional
	SnapshotsRemovedOnLastCleanup int64 `json:"snapshotsRemovedOnLastCleanup,omitempty"`
	// References lists the objects that use this repository.
	// +optional
	References []api.ObjectReference `json:"references,omitempty"`
	// Conditions: BackendReachable, BackendRepositoryInitialized, RetentionPolicyApplied,
	// RepositoryIntegrityVerified; WorkerReady while the Job that looks after it does not run;
	// MaintenanceCurrent while retention or a check waits for backups to end.
	// +optional
	Conditions []api.Condition `json:"conditions,omitempty"`
	// Snapshots lists the newest snapshots of the repository, at most 50.
	// +optional
	Snapshots []Snapshot `json:"snapshots,omitempty"`
	// LastProbeTime is when the backend was last asked whether it holds the repository.
	// +optional
	LastProbeTime *metav1.Time `json:"lastProbeTime,omitempty"`
	// LastCheckTime is when restic check last ended.
	// +optional
	LastCheckTime *metav1.Time `json:"lastCheckTime,omitempty"`
	// LastPruneTime is when restic prune last ended; it runs at most once a day.
	// +optional
	LastPruneTime *metav1.Time `json:"lastPruneTime,omitempty"`
	// LastUnlockTime is when locks were last looked at, to remove those of dead pods.
	// +optional
	LastUnlockTime *metav1.Time `json:"lastUnlockTime,omitempty"`
	// LastListTime is when snapshots and statistics were last read.
	// +optional
	LastListTime *metav1.Time `json:"lastListTime,omitempty"`
	// Retentions says, for each BackupConfiguration, up to which session its retention policy was
	// applied.
	// +optional
	// +listType=map
	// +listMapKey=invoker
	Retentions []RetentionStatus `json:"retentions,omitempty"`
	// StorageSecretVersion is the resourceVersion of the storage Secret that the backend was last asked
	// with: one that could not be used is asked again when the Secret has changed.
	// +optional
	StorageSecretVersion string `json:"storageSecretVersion,omitempty"`
	// Work is the operation that the repository's worker does now.
	// +optional
	Work *RepositoryWork `json:"work,omitempty"`
	// Found is where the repository was last seen: one that held snapshots and is gone from there is not
	// made anew.
	// +optional
	Found *FoundRepository `json:"found,omitempty"`
	// Interrupted is the retention or check whose worker ended in its middle and may have left an
	// exclusive lock: backups and restores that have not begun wait until locks were looked at.
	// +optional
	Interrupted *InterruptedWork `json:"interrupted,omitempty"`
	// Backoffs are of retention, check and removal of locks after they failed: other work does not wait
	// for them.
	// +optional
	// +listType=map
	// +listMapKey=operation
	Backoffs []OperationBackoff `json:"backoffs,omitempty"`
	// NextAttempt is when other work that failed is tried again.
	// +optional
	NextAttempt *metav1.Time `json:"nextAttempt,omitempty"`
	// Failures counts the failures of other work in a row.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// Holders are the pods that were given credentials for this repository: locks that bear their
	// hostnames are removed once they are known dead. Those that are gone for days, and whose locks were
	// not seen since, are forgotten; there is room for some 4000.
	// +optional
	Holders []Holder `json:"holders,omitempty"`
	// Locks are the names of the hosts whose locks kept the last operation waiting.
	// +optional
	Locks []string `json:"locks,omitempty"`
}

// Holder is a pod that was given credentials for a repository.
type Holder struct {
	// Namespace of the pod.
	Namespace string `json:"namespace"`
	// Pod is its name.
	Pod string `json:"pod"`
	// UID of the pod.
	UID string `json:"uid"`
	// Hostname is the kernel's in the pod, which restic writes into its locks. Default: the pod's name.
	// +optional
	Hostname string `json:"hostname,omitempty"`
	// Unique tells that Kubernetes made the hostname up: no other pod has it, in any cluster.
	// +optional
	Unique bool `json:"unique,omitempty"`
	// Since is when the pod was first given credentials: older locks are not its own.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// Ended is when the pod's agent last said that restic has failed and ended: locks of it that
	// are older are dead.
	// +optional
	Ended *metav1.Time `json:"ended,omitempty"`
	// Gone is when the pod had ended, as far as is known: later locks are not its own.
	// +optional
	Gone *metav1.Time `json:"gone,omitempty"`
}

// Snapshot is one restic snapshot.
type Snapshot struct {
	// ID is restic's full snapshot ID.
	ID string `json:"id"`
	// Time is when the snapshot was taken.
	Time metav1.Time `json:"time"`
	// Hostname is restic's host, for example host-0.
	// +optional
	Hostname string `json:"hostname,omitempty"`
	// Paths are the directories in the snapshot.
	// +optional
	Paths []string `json:"paths,omitempty"`
	// Tags are restic's tags.
	// +optional
	Tags []string `json:"tags,omitempty"`
	// Size is the size of the files in the snapshot in bytes; -1 where restic did not record it.
	// +optional
	Size int64 `json:"size,omitempty"`
	// Files is the number of files in the snapshot; -1 where restic did not record it.
	// +optional
	Files int64 `json:"files,omitempty"`
}

// RetentionStatus says up to which session a configuration's retention policy was applied.
type RetentionStatus struct {
	// Invoker is <kind>/<namespace>/<name>.
	Invoker string `json:"invoker"`
	// Session is the UID of the newest session whose snapshots were seen by it.
	Session string `json:"session"`
	// Removed is how many snapshots that run removed.
	// +optional
	Removed int64 `json:"removed,omitempty"`
	// Time is when it ended.
	// +optional
	Time metav1.Time `json:"time,omitzero"`
}

// RepositoryOperation is one thing that a repository worker does.
//
// +kubebuilder:validation:Enum=Probe;Init;Forget;Check;List;Find;Unlock
type RepositoryOperation string

// Values of RepositoryOperation.
const (
	// OperationProbe asks whether the repository exists and the key fits.
	OperationProbe RepositoryOperation = "Probe"
	// OperationInit creates the repository; it is never done by two at once.
	OperationInit RepositoryOperation = "Init"
	// OperationForget applies a retention policy, and prunes where it asks for that.
	OperationForget RepositoryOperation = "Forget"
	// OperationCheck verifies the repository.
	OperationCheck RepositoryOperation = "Check"
	// OperationList reads snapshots and statistics.
	OperationList RepositoryOperation = "List"
	// OperationFind looks for the snapshots of a session or of restore rules.
	OperationFind RepositoryOperation = "Find"
	// OperationUnlock removes locks of pods that are known dead.
	OperationUnlock RepositoryOperation = "Unlock"
)

// RepositoryWork is an operation under way. There is at most one for each backend location.
type RepositoryWork struct {
	// ID is unique for each attempt.
	ID string `json:"id"`
	// Operation is what is done.
	Operation RepositoryOperation `json:"operation"`
	// Subject is what it is done for: <kind>/<namespace>/<name> of a session or configuration.
	// +optional
	Subject string `json:"subject,omitempty"`
	// SubjectUID is the UID of the session concerned.
	// +optional
	SubjectUID string `json:"subjectUID,omitempty"`
	// Pod is the name of the worker's pod, once one took the work.
	// +optional
	Pod string `json:"pod,omitempty"`
	// PodUID is that pod's UID.
	// +optional
	PodUID string `json:"podUID,omitempty"`
	// StartTime is when the operation was decided on.
	// +optional
	StartTime metav1.Time `json:"startTime,omitzero"`
	// AskedTime is when the worker first asked for it; until then it has not reached the operator.
	// +optional
	AskedTime *metav1.Time `json:"askedTime,omitempty"`
	// Generation is the metadata.generation of the spec that it is done for: what comes of it says
	// nothing about a later one.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// StorageSecretVersion is the resourceVersion of the storage Secret when it was decided on.
	// +optional
	StorageSecretVersion string `json:"storageSecretVersion,omitempty"`
}

// InterruptedWork is an operation whose worker ended in its middle.
type InterruptedWork struct {
	// Operation is what was done.
	Operation RepositoryOperation `json:"operation"`
	// PodUID is the UID of the worker's pod.
	PodUID string `json:"podUID"`
	// Generation is the metadata.generation of the spec that it was done for: locks of another place keep
	// nobody waiting.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Time is when it was known to have ended.
	Time metav1.Time `json:"time"`
	// Until is when nothing waits any more, whether locks were looked at or not.
	Until metav1.Time `json:"until"`
}

// FoundRepository is a repository that was seen in its backend.
type FoundRepository struct {
	// Place stands for what the spec named then: bucket and prefix, or volume and folder.
	Place string `json:"place"`
	// Time is when it was first seen there.
	Time metav1.Time `json:"time"`
}

// OperationBackoff is the pause after failures of an operation.
type OperationBackoff struct {
	// Operation that failed.
	Operation RepositoryOperation `json:"operation"`
	// Failures counts its failures in a row.
	Failures int32 `json:"failures"`
	// NextAttempt is when it is tried again.
	NextAttempt metav1.Time `json:"nextAttempt"`
	// Reason of the last failure.
	// +optional
	Reason string `json:"reason,omitempty"`
}
