package api

// Condition types of Stash (facts §6.3), by the kinds that carry them.
const (
	// BackupConfiguration and RestoreSession.
	RepositoryFound            = "RepositoryFound"
	BackendSecretFound         = "BackendSecretFound"
	ValidationPassed           = "ValidationPassed"
	BackupTargetFound          = "BackupTargetFound"
	RestoreTargetFound         = "RestoreTargetFound"
	StashSidecarInjected       = "StashSidecarInjected"
	StashInitContainerInjected = "StashInitContainerInjected"
	// CronJobCreated keeps its name for scripts that wait for it; it says that the schedule is
	// known to the scheduler. There are no CronJobs.
	CronJobCreated = "CronJobCreated"

	// BackupSession.
	BackupSkipped                = "BackupSkipped"
	BackendRepositoryInitialized = "BackendRepositoryInitialized"
	RetentionPolicyApplied       = "RetentionPolicyApplied"
	RepositoryIntegrityVerified  = "RepositoryIntegrityVerified"
	BackupHistoryCleaned         = "BackupHistoryCleaned"
	DeadlineExceeded             = "DeadlineExceeded"
	BackupExecutorEnsured        = "BackupExecutorEnsured"
	BackupDisrupted              = "BackupDisrupted"
	// Incomplete is ours: files that could not be read are missing from the snapshot.
	Incomplete = "Incomplete"

	// RestoreSession.
	RestoreExecutorEnsured = "RestoreExecutorEnsured"
	RestoreCompleted       = "RestoreCompleted"
	// SnapshotsPinned is ours: the snapshots to restore are chosen and fixed in the status.
	SnapshotsPinned = "SnapshotsPinned"
	// NamespaceClosed is ours: False while it cannot be proved that no pod of the target starts without
	// its data, since something else refuses such pods.
	NamespaceClosed = "NamespaceClosed"

	// Repository, ours.
	BackendReachable = "BackendReachable"
	// WorkerReady is False while the Repository needs a worker that cannot be created or started.
	WorkerReady = "WorkerReady"
	// MaintenanceCurrent is False while retention, a check or the like finds no moment without backups and
	// restores at the location.
	MaintenanceCurrent = "MaintenanceCurrent"
	// LocationClaimed is False where another target already uses the same location, host and path.
	LocationClaimed = "LocationClaimed"

	// ProtectionPolicy, ours. AllProtected is False while a selected object is neither protected nor
	// exempt; Enforced tells whether requests are looked at, as the action asks for.
	AllProtected = "AllProtected"
	Enforced     = "Enforced"

	// Expanded is ours, on nothing but events and metrics: the annotation of a target was expanded.
	Expanded = "Expanded"
)
