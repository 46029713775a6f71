package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
)

// BackupConfiguration says what is backed up, when, into which Repository, and how long snapshots
// are kept.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=backupconfigurations,singular=backupconfiguration,shortName=bc,categories={stash,appscode,all}
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target.ref.name`
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Paused",type=boolean,JSONPath=`.spec.paused`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Last-Backup",type=date,format=date-time,JSONPath=`.status.lastSuccessTime`,description="when the last successful session started"
// +kubebuilder:printcolumn:name="Next",type=string,format=date-time,priority=1,JSONPath=`.status.nextSlot`,description="when the next session is due"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.status=="False")].message`,description="what the first condition that is False says"
// +kubebuilder:printcolumn:name="Sidecar",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="StashSidecarInjected")].message`
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase != 'Ready' || !has(oldSelf.spec) || !has(oldSelf.spec.target) || !has(oldSelf.spec.target.ref) || !has(oldSelf.spec.target.ref.kind) || !has(oldSelf.spec.target.ref.name) || (has(self.spec) && has(self.spec.target) && has(self.spec.target.ref) && has(self.spec.target.ref.kind) && has(self.spec.target.ref.name) && self.spec.target.ref.kind == oldSelf.spec.target.ref.kind && self.spec.target.ref.name == oldSelf.spec.target.ref.name)",message="the target of a configuration in use cannot be changed: create another BackupConfiguration and delete this one",fieldPath=".spec.target.ref",reason=FieldValueForbidden
type BackupConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec says what is backed up, when and how.
	// +optional
	Spec BackupConfigurationSpec `json:"spec,omitzero"`
	// Status says what became of it.
	// +optional
	Status BackupConfigurationStatus `json:"status,omitzero"`
}

// BackupConfigurationList is a list of BackupConfigurations.
//
// +kubebuilder:object:root=true
type BackupConfigurationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BackupConfiguration `json:"items"`
}

// Drivers of a backup.
const (
	DriverRestic            = "Restic"
	DriverVolumeSnapshotter = "VolumeSnapshotter"
)

// RolloutPolicy says when an existing workload gets its sidecar.
//
// +kubebuilder:validation:Enum=Immediate;OnNextRollout
type RolloutPolicy string

// Values of RolloutPolicy.
const (
	// RolloutImmediate rolls the workload out at once.
	RolloutImmediate RolloutPolicy = "Immediate"
	// RolloutOnNext waits for the workload's next rollout.
	RolloutOnNext RolloutPolicy = "OnNextRollout"
)

// BackupConfigurationSpec says what is backed up, when and how.
type BackupConfigurationSpec struct {
	// Schedule is a five-field cron expression, a descriptor (@daily) or @every <duration>.
	// +optional
	Schedule string `json:"schedule,omitempty"`
	// TimeZone is the IANA name that the schedule is read in, for example Europe/Berlin.
	// Default: UTC.
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
	// Driver is Restic (default) or VolumeSnapshotter. Not supported yet: VolumeSnapshotter is refused.
	// +kubebuilder:validation:Enum=Restic;VolumeSnapshotter
	// +kubebuilder:default=Restic
	// +optional
	Driver string `json:"driver,omitempty"`
	// Repository that the snapshots go to.
	// +optional
	Repository KindRepositoryRef `json:"repository,omitzero"`
	// RetentionPolicy says which snapshots are kept.
	RetentionPolicy RetentionPolicy `json:"retentionPolicy"`
	// Paused stops the schedule. Sessions made by hand still run. Default: false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// BackupHistoryLimit is how many finished BackupSessions are kept. Skipped ones are counted by
	// themselves, and the newest that succeeded stays beside newer ones that did not. Default: 1.
	// +kubebuilder:validation:Minimum=0
	// +optional
	BackupHistoryLimit *int32 `json:"backupHistoryLimit,omitempty"`
	// TimeOut ends a session that takes longer, for example 2h. Default: none.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="must be a positive duration, for example 2h or 1h30m; leave it out for no limit",reason=FieldValueInvalid
	// +optional
	TimeOut *metav1.Duration `json:"timeOut,omitempty"`
	// RetryConfig says how a failed session is retried. Default: not at all.
	// +optional
	RetryConfig *RetryConfig `json:"retryConfig,omitempty"`
	// RolloutPolicy says when a workload that exists already gets its sidecar. Default: Immediate.
	// +optional
	RolloutPolicy RolloutPolicy `json:"rolloutPolicy,omitempty"`

	BackupTemplatePart `json:",inline"`
}

// BackupTemplatePart is what a BackupConfiguration shares with the members of a batch.
type BackupTemplatePart struct {
	// Task names the Task of a backup by Job; empty for the volumes of a workload. Not supported yet:
	// a Task is refused.
	// +optional
	Task TaskRef `json:"task,omitzero"`
	// Target is what is backed up.
	// +optional
	Target *BackupTarget `json:"target,omitempty"`
	// RuntimeSettings shape the pod and container that take the backup.
	// +optional
	RuntimeSettings RuntimeSettings `json:"runtimeSettings,omitzero"`
	// TempDir shapes the volume that holds restic's cache.
	// +optional
	TempDir EmptyDirSettings `json:"tempDir,omitzero"`
	// InterimVolumeTemplate is a claim for data on its way. Not supported yet: it is refused.
	// +optional
	InterimVolumeTemplate *PersistentVolumeClaimTemplate `json:"interimVolumeTemplate,omitempty"`
	// Hooks run before and after the backup. Not supported yet: they are refused.
	// +optional
	Hooks *BackupHooks `json:"hooks,omitempty"`
}

// BackupConfigurationPhase sums the conditions up in one word.
//
// +kubebuilder:validation:Enum=Invalid;Ready;NotReady
type BackupConfigurationPhase string

// Values of BackupConfigurationPhase.
const (
	BackupInvokerInvalid  BackupConfigurationPhase = "Invalid"
	BackupInvokerReady    BackupConfigurationPhase = "Ready"
	BackupInvokerNotReady BackupConfigurationPhase = "NotReady"
)

// BackupConfigurationStatus is what became of a BackupConfiguration.
type BackupConfigurationStatus struct {
	// ObservedGeneration is the metadata.generation that the status was set for.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Phase sums the conditions up: NotReady while what it names is missing, its backend cannot be
	// reached or no pod has the sidecar.
	// +optional
	Phase BackupConfigurationPhase `json:"phase,omitempty"`
	// Conditions: RepositoryFound, BackendSecretFound, ValidationPassed, BackupTargetFound,
	// StashSidecarInjected, CronJobCreated; BackendReachable, as its Repository says.
	// +optional
	Conditions []api.Condition `json:"conditions,omitempty"`
	// LastSlot is the last time of the schedule that was dealt with, by a session or by a skip.
	// +optional
	LastSlot *metav1.Time `json:"lastSlot,omitempty"`
	// NextSlot is when the next session is due.
	// +optional
	NextSlot *metav1.Time `json:"nextSlot,omitempty"`
	// LastSuccessTime is the creation time of the last successful session.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`
	// LastSession is the last finished session.
	// +optional
	LastSession *LastSession `json:"lastSession,omitempty"`
	// Hosts holds the last result of each host, so that a short history loses nothing.
	// +optional
	// +listType=map
	// +listMapKey=hostname
	Hosts []HostResult `json:"hosts,omitempty"`
	// Sidecar is what is remembered of the sidecar in the target's pods.
	// +optional
	Sidecar *SidecarStatus `json:"sidecar,omitempty"`
}

// SidecarStatus is what is remembered of the sidecar in the pods of a workload: every
// BackupConfiguration of the workload says the same.
type SidecarStatus struct {
	// Stamp is the label of the pod template that this is about; another one begins anew.
	Stamp string `json:"stamp"`
	// StartedTime is when a pod with this stamp was first seen to have started its sidecar. From then
	// on the stamp is not taken back.
	// +optional
	StartedTime *metav1.Time `json:"startedTime,omitempty"`
	// RefusedTime is since when the workload has no pod, since the API server would refuse one with the
	// sidecar.
	// +optional
	RefusedTime *metav1.Time `json:"refusedTime,omitempty"`
	// Withdrawals is how often the stamp was taken back, since no pod could start its sidecar.
	// +optional
	Withdrawals int32 `json:"withdrawals,omitempty"`
	// WithdrawnTime is when that was last.
	// +optional
	WithdrawnTime *metav1.Time `json:"withdrawnTime,omitempty"`
	// WithdrawnImage is the image of the sidecar that could not be started.
	// +optional
	WithdrawnImage string `json:"withdrawnImage,omitempty"`
	// WithdrawnMessage says what kept it from starting.
	// +optional
	WithdrawnMessage string `json:"withdrawnMessage,omitempty"`
	// NextAttempt is when the workload is stamped again.
	// +optional
	NextAttempt *metav1.Time `json:"nextAttempt,omitempty"`
	// ReplacedRevision is the revision of the pod that was evicted last, since it had missed its
	// sidecar.
	// +optional
	ReplacedRevision string `json:"replacedRevision,omitempty"`
	// ReplacedTime is when the youngest pod of that revision had been created then: younger ones are
	// replacements. It is forgotten as soon as one of them has the sidecar.
	// +optional
	ReplacedTime *metav1.Time `json:"replacedTime,omitempty"`
	// FruitlessReplacements is how many evictions in a row, before the last one, brought a pod that
	// missed its sidecar too. The more there were, the longer it is until the next one.
	// +optional
	FruitlessReplacements int32 `json:"fruitlessReplacements,omitempty"`
}

// LastSession is a finished session.
type LastSession struct {
	// Name of the BackupSession.
	Name string `json:"name"`
	// UID of the BackupSession.
	UID string `json:"uid,omitempty"`
	// Phase it ended in.
	// +optional
	Phase BackupSessionPhase `json:"phase,omitempty"`
	// StartTime is its creation time.
	// +optional
	StartTime metav1.Time `json:"startTime,omitzero"`
	// Duration of the session.
	// +optional
	Duration string `json:"duration,omitempty"`
}

// HostResult is the last result of one host.
type HostResult struct {
	// Hostname under which the snapshots are stored.
	Hostname string `json:"hostname"`
	// Phase is Succeeded or Failed.
	// +optional
	Phase HostBackupPhase `json:"phase,omitempty"`
	// Session is the name of the BackupSession.
	// +optional
	Session string `json:"session,omitempty"`
	// Time is when the result came.
	// +optional
	Time metav1.Time `json:"time,omitzero"`
	// LastSuccessTime is when this host last succeeded.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`
	// Duration of the host's backup.
	// +optional
	Duration string `json:"duration,omitempty"`
	// Error of a failed backup.
	// +optional
	Error string `json:"error,omitempty"`
	// Snapshots of the last success.
	// +optional
	Snapshots []SnapshotStats `json:"snapshots,omitempty"`
	// Complete holds, for each path, the newest snapshot that is complete and holds data;
	// retention never removes it.
	// +optional
	Complete []CompleteSnapshot `json:"complete,omitempty"`
}

// CompleteSnapshot is the newest complete snapshot of a path that holds data.
type CompleteSnapshot struct {
	// Path of the snapshot.
	Path string `json:"path"`
	// ID is restic's full snapshot ID.
	ID string `json:"id"`
	// Files in the snapshot.
	// +optional
	Files int64 `json:"files,omitempty"`
}
