package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/seed-731df569/stash/api"
)

// BackupSession is one run of a BackupConfiguration. Making one by hand is an instant backup.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=backupsessions,singular=backupsession,categories={stash,appscode,all}
// +kubebuilder:printcolumn:name="Invoker-Type",type=string,JSONPath=`.spec.invoker.kind`
// +kubebuilder:printcolumn:name="Invoker-Name",type=string,JSONPath=`.spec.invoker.name`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress`,description="percent of the bytes read, and the time left"
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.status.sessionDuration`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.reason`
type BackupSession struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec names what is run. It cannot be changed.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the spec of a BackupSession cannot be changed: create another one",reason=FieldValueForbidden
	// +optional
	Spec BackupSessionSpec `json:"spec,omitzero"`
	// Status says how far it is.
	// +optional
	Status BackupSessionStatus `json:"status,omitzero"`
}

// BackupSessionList is a list of BackupSessions.
//
// +kubebuilder:object:root=true
type BackupSessionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BackupSession `json:"items"`
}

// BackupSessionSpec names what is run.
//
// +kubebuilder:validation:XValidation:rule="has(self.invoker) != has(self.backupConfiguration)",message="exactly one of invoker and (the draft's) backupConfiguration must be given",reason=FieldValueInvalid
type BackupSessionSpec struct {
	// Invoker names the BackupConfiguration.
	// +optional
	Invoker *BackupInvokerRef `json:"invoker,omitempty"`
	// RetryLeft is how many retries are left.
	// +kubebuilder:validation:Minimum=0
	// +optional
	RetryLeft int32 `json:"retryLeft,omitempty"`
	// BackupConfiguration is the draft's form of invoker.
	// +optional
	BackupConfiguration *LocalRef `json:"backupConfiguration,omitempty"`
}

// LocalRef names an object in the same namespace.
type LocalRef struct {
	// Name of the object.
	Name string `json:"name"`
}

// BackupInvokerRef names the object that a session runs.
type BackupInvokerRef struct {
	// APIGroup is stash.appscode.com.
	// +optional
	APIGroup string `json:"apiGroup,omitempty"`
	// Kind is BackupConfiguration.
	Kind string `json:"kind"`
	// Name of the object.
	Name string `json:"name"`
}

// BackupSessionPhase is how far a session is.
//
// +kubebuilder:validation:Enum=Pending;Skipped;Running;Succeeded;Failed;Unknown;Succeed
type BackupSessionPhase string

// Values of BackupSessionPhase.
const (
	BackupSessionPending   BackupSessionPhase = "Pending"
	BackupSessionSkipped   BackupSessionPhase = "Skipped"
	BackupSessionRunning   BackupSessionPhase = "Running"
	BackupSessionSucceeded BackupSessionPhase = "Succeeded"
	BackupSessionFailed    BackupSessionPhase = "Failed"
	BackupSessionUnknown   BackupSessionPhase = "Unknown"
)

// BackupSessionStatus is how far a session is.
type BackupSessionStatus struct {
	// Phase of the session.
	// +optional
	Phase BackupSessionPhase `json:"phase,omitempty"`
	// Reason says in one sentence why the session is in its phase.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Progress is for people: percent and time left of a running session.
	// +optional
	Progress string `json:"progress,omitempty"`
	// SessionDuration is the time from creation to end.
	// +optional
	SessionDuration string `json:"sessionDuration,omitempty"`
	// ReadyTime is since when a session that has not begun waits for nothing but a pod that can do the
	// work: its repository exists, and nobody else needs it for himself.
	// +optional
	ReadyTime *metav1.Time `json:"readyTime,omitempty"`
	// SessionDeadline is creation plus timeOut.
	// +optional
	SessionDeadline *metav1.Time `json:"sessionDeadline,omitempty"`
	// CompletionTime is when the session ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Retried tells that a session was created to retry this one.
	// +optional
	Retried *bool `json:"retried,omitempty"`
	// NextRetry is when a failed session is retried.
	// +optional
	NextRetry *metav1.Time `json:"nextRetry,omitempty"`
	// Conditions: BackupSkipped, BackendRepositoryInitialized, RetentionPolicyApplied,
	// RepositoryIntegrityVerified, BackupHistoryCleaned, DeadlineExceeded, Incomplete.
	// +optional
	Conditions []api.Condition `json:"conditions,omitempty"`
	// Targets of the session.
	// +optional
	Targets []BackupTargetStatus `json:"targets,omitempty"`

	// ObservedGeneration is of the draft; it is accepted and has no meaning.
	// +optional
	ObservedGeneration *intstr.IntOrString `json:"observedGeneration,omitempty"`
	// TotalHosts is of the draft; it is accepted and has no meaning.
	// +optional
	TotalHosts *int32 `json:"totalHosts,omitempty"`
	// Stats is of the draft; it is accepted and has no meaning.
	// +optional
	Stats []DraftStats `json:"stats,omitempty"`
}

// DraftStats is the draft's form of a result.
type DraftStats struct {
	// Direcotry is spelled as the draft spells it.
	// +optional
	Direcotry string `json:"direcotry,omitempty"`
	// Directory of the snapshot.
	// +optional
	Directory string `json:"directory,omitempty"`
	// Hostname of the snapshot.
	// +optional
	Hostname string `json:"hostname,omitempty"`
	// Snapshot ID.
	// +optional
	Snapshot string `json:"snapshot,omitempty"`
	// TotalSize of the snapshot.
	// +optional
	TotalSize string `json:"totalSize,omitempty"`
	// Uploaded bytes.
	// +optional
	Uploaded string `json:"uploaded,omitempty"`
	// ProcessingTime of the backup.
	// +optional
	ProcessingTime string `json:"processingTime,omitempty"`
	// FileStats of the snapshot.
	// +optional
	FileStats *DraftFileStats `json:"fileStats,omitempty"`
}

// DraftFileStats is the draft's form of file counts.
type DraftFileStats struct {
	// New files.
	// +optional
	New *int64 `json:"new,omitempty"`
	// Changed files.
	// +optional
	Changed *int64 `json:"changed,omitempty"`
	// Unmodified files.
	// +optional
	Unmodified *int64 `json:"unmodified,omitempty"`
}

// TargetPhase is how far a target of a session is.
//
// +kubebuilder:validation:Enum=Pending;Succeeded;Running;Failed
type TargetPhase string

// Values of TargetPhase.
const (
	TargetPending   TargetPhase = "Pending"
	TargetRunning   TargetPhase = "Running"
	TargetSucceeded TargetPhase = "Succeeded"
	TargetFailed    TargetPhase = "Failed"
)

// BackupTargetStatus is how far a target of a session is.
type BackupTargetStatus struct {
	// Ref names the target.
	// +optional
	Ref TargetRef `json:"ref,omitzero"`
	// TotalHosts is the number of hosts to back up.
	// +optional
	TotalHosts *int32 `json:"totalHosts,omitempty"`
	// Phase of the target.
	// +optional
	Phase TargetPhase `json:"phase,omitempty"`
	// Stats are the results of hosts, one each.
	// +optional
	Stats []HostBackupStats `json:"stats,omitempty"`
	// PreBackupActions done for this target, for example InitializeBackendRepository.
	// +optional
	PreBackupActions []string `json:"preBackupActions,omitempty"`
	// PostBackupActions done for this target, for example ApplyRetentionPolicy.
	// +optional
	PostBackupActions []string `json:"postBackupActions,omitempty"`
	// Conditions: BackupExecutorEnsured, BackupDisrupted.
	// +optional
	Conditions []api.Condition `json:"conditions,omitempty"`
	// Assignments say which pod backs up which host, while it does.
	// +optional
	Assignments []Assignment `json:"assignments,omitempty"`
	// Released counts, for each host of the session, the attempts that were given up.
	// +optional
	Released []ReleasedHost `json:"released,omitempty"`
}

// ReleasedHost is a host that waits for a pod, or did, with the attempts that were given up.
type ReleasedHost struct {
	// Hostname of the host.
	Hostname string `json:"hostname"`
	// Attempts that were given up so far.
	Attempts int32 `json:"attempts"`
	// Message says why the last attempt was given up.
	// +optional
	Message string `json:"message,omitempty"`
	// Time is since when the host waits for a pod: when the session began, or its last attempt was
	// given up.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
}

// Assignment gives the work of one host to one pod.
type Assignment struct {
	// ID is unique for each attempt.
	ID string `json:"id"`
	// Hostname under which the snapshots are stored.
	Hostname string `json:"hostname"`
	// Pod that does the work.
	Pod string `json:"pod"`
	// PodUID is the pod's UID.
	PodUID string `json:"podUID"`
	// Node of the pod.
	// +optional
	Node string `json:"node,omitempty"`
	// Attempt counts from 1.
	// +optional
	Attempt int32 `json:"attempt,omitempty"`
	// Starts counts how often an agent of the pod began the work: each but the last ended with its
	// container.
	// +optional
	Starts int32 `json:"starts,omitempty"`
	// StartTime is when the work was given.
	// +optional
	StartTime metav1.Time `json:"startTime,omitzero"`
	// Held is when the work was last kept from the agent, which asked for it, to half a minute's precision.
	// +optional
	Held *metav1.Time `json:"held,omitempty"`
	// HeldReason says why it was: other work needed the repository for itself, or somebody has to mend
	// what is missing. Empty where a version before this field kept it.
	// +optional
	HeldReason string `json:"heldReason,omitempty"`
	// Acknowledged is when the agent took the work.
	// +optional
	Acknowledged *metav1.Time `json:"acknowledged,omitempty"`
	// LastSeen is when the agent was last heard of, to a minute's precision.
	// +optional
	LastSeen *metav1.Time `json:"lastSeen,omitempty"`
	// Progress of restic.
	// +optional
	Progress *Progress `json:"progress,omitempty"`
	// Lost is when the pod was given up; its result is looked for in the repository.
	// +optional
	Lost *metav1.Time `json:"lost,omitempty"`
	// Searched tells that the repository was searched for the result of a lost pod.
	// +optional
	Searched bool `json:"searched,omitempty"`
	// Cancelled tells that the agent was told to stop.
	// +optional
	Cancelled bool `json:"cancelled,omitempty"`
}

// Progress is how far restic is.
type Progress struct {
	// Percent of the bytes, 0 to 100.
	// +optional
	Percent int32 `json:"percent,omitempty"`
	// BytesDone is what was read or restored.
	// +optional
	BytesDone int64 `json:"bytesDone,omitempty"`
	// TotalBytes known so far, which are no fewer than those done; 0: not known yet.
	// +optional
	TotalBytes int64 `json:"totalBytes,omitempty"`
	// FilesDone is the number of files read or restored; a restore counts directories too, and what it
	// found as it should be.
	// +optional
	FilesDone int64 `json:"filesDone,omitempty"`
	// TotalFiles known so far, which are no fewer than those done; 0: not known yet.
	// +optional
	TotalFiles int64 `json:"totalFiles,omitempty"`
	// SecondsLeft as restic estimates.
	// +optional
	SecondsLeft int64 `json:"secondsLeft,omitempty"`
	// Path that is worked on.
	// +optional
	Path string `json:"path,omitempty"`
	// Time of the report.
	// +optional
	Time metav1.Time `json:"time,omitzero"`
}

// HostBackupPhase is the result of a host.
//
// +kubebuilder:validation:Enum=Succeeded;Failed
type HostBackupPhase string

// Values of HostBackupPhase.
const (
	HostBackupSucceeded HostBackupPhase = "Succeeded"
	HostBackupFailed    HostBackupPhase = "Failed"
)

// HostBackupStats is the result of one host.
type HostBackupStats struct {
	// Hostname under which the snapshots are stored.
	// +optional
	Hostname string `json:"hostname,omitempty"`
	// Phase is Succeeded or Failed.
	// +optional
	Phase HostBackupPhase `json:"phase,omitempty"`
	// Snapshots taken, one for each path.
	// +optional
	Snapshots []SnapshotStats `json:"snapshots,omitempty"`
	// Duration of the host's backup.
	// +optional
	Duration string `json:"duration,omitempty"`
	// Error of a failed backup.
	// +optional
	Error string `json:"error,omitempty"`
	// Incomplete is how many files could not be read and are missing; of an adopted result it is not
	// known.
	// +optional
	Incomplete int64 `json:"incomplete,omitempty"`
	// Adopted tells that the result was found by its tag in the repository, not reported by an agent.
	// +optional
	Adopted bool `json:"adopted,omitempty"`
	// Pod that did the work.
	// +optional
	Pod string `json:"pod,omitempty"`
}

// SnapshotStats describes a snapshot that a backup took.
type SnapshotStats struct {
	// Name is the first eight characters of restic's snapshot ID.
	// +optional
	Name string `json:"name,omitempty"`
	// ID is restic's full snapshot ID.
	// +optional
	ID string `json:"id,omitempty"`
	// Path that was backed up.
	// +optional
	Path string `json:"path,omitempty"`
	// TotalSize of the files read, for example "1.720 GiB".
	// +optional
	TotalSize string `json:"totalSize,omitempty"`
	// Uploaded is what was added to the repository, for example "1.200 GiB".
	// +optional
	Uploaded string `json:"uploaded,omitempty"`
	// ProcessingTime of the backup, as minutes:seconds.
	// +optional
	ProcessingTime string `json:"processingTime,omitempty"`
	// FileStats of the backup.
	// +optional
	FileStats FileStats `json:"fileStats,omitzero"`
	// TotalBytes is TotalSize as a number.
	// +optional
	TotalBytes int64 `json:"totalBytes,omitempty"`
	// UploadedBytes is Uploaded as a number.
	// +optional
	UploadedBytes int64 `json:"uploadedBytes,omitempty"`
}
