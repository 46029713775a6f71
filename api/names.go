package api

// Groups and the prefix that all our names carry.
const (
	Group           = "stash.appscode.com"
	AppCatalogGroup = "appcatalog.appscode.com"
	prefix          = Group + "/"

	// VerbRestore is the right, on a Repository, to read its snapshots by a restore.
	VerbRestore = "restore"
)

// Annotations by which an application owner asks for protection. The first of each pair is the
// shipped form; the draft forms are accepted with a warning.
const (
	AnnotationBlueprint    = prefix + "backup-blueprint"
	AnnotationTargetPaths  = prefix + "target-paths"
	AnnotationVolumeMounts = prefix + "volume-mounts"
	AnnotationSchedule     = prefix + "schedule"

	// AnnotationExemption says why an object, or a whole Namespace, needs no backup, whatever policies
	// demand.
	AnnotationExemption = prefix + "protection-exemption"

	// AnnotationParamsPrefix introduces task parameters on an AppBinding.
	AnnotationParamsPrefix = "params." + prefix

	AnnotationDraftTemplate          = prefix + "backuptemplate"
	AnnotationDraftTemplateHyphen    = prefix + "backup-template"
	AnnotationDraftDirectories       = prefix + "targetDirectories"
	AnnotationDraftDirectoriesHyphen = prefix + "target-directories"
	AnnotationDraftMountPath         = prefix + "mountpath"

	AnnotationRestorePolicy      = prefix + "restorepolicy"
	AnnotationRestoreRepository  = prefix + "repository"
	AnnotationRestoreDirectories = prefix + "directories"
)

// Labels that Stash puts on pod templates, pods and namespaces.
const (
	// LabelInject on a pod template asks for the backup sidecar. Its value is the hash of what
	// the user chose for the pod (mounts, resources, security) and of the injection version.
	LabelInject = prefix + "inject"
	// LabelRestore on a pod template asks for the restore init-container. Its value is the hash
	// of the RestoreSession's UID; pods that carry it do not start without us (fail closed).
	LabelRestore = prefix + "restore"
	// LabelManaged on a Namespace sends its workloads through the workload hook.
	LabelManaged = prefix + "managed"
	// LabelRestoring on a Namespace closes it to unstamped pods of targets under restore.
	LabelRestoring = prefix + "restoring"
	// LabelProbe on a pod of a dry run asks the hook of a closed namespace for a refusal: that the
	// namespace is closed is proven by it.
	LabelProbe = prefix + "probe"
	// LabelSession on a Job of ours and on its pod is the UID of the BackupSession or RestoreSession that
	// it works for.
	LabelSession = prefix + "session"
	// LabelHost beside it is the host that they work for.
	LabelHost = prefix + "host"
)

// Labels on sessions and generated objects; the first two of a session are what the existing
// Stash selects by.
const (
	LabelInvokerType     = prefix + "invoker-type"
	LabelInvokerName     = prefix + "invoker-name"
	LabelTargetKind      = prefix + "target-kind"
	LabelTargetName      = prefix + "target-name"
	LabelTargetNamespace = prefix + "target-namespace"
	LabelRepository      = prefix + "repository-name"
	LabelComponent       = "app.kubernetes.io/component"
	LabelManagedBy       = "app.kubernetes.io/managed-by"
	ManagedBy            = Group
	ComponentBackup      = "stash-backup"
	ComponentRestore     = "stash-restore"
	ComponentWorker      = "stash-repository-worker"
)

// Annotations on generated objects.
const (
	// AnnotationExpandedFrom names the target whose annotation a Repository or
	// BackupConfiguration was expanded from, as <kind>/<namespace>/<name>.
	AnnotationExpandedFrom = prefix + "expanded-from"
	// AnnotationExpandedBlueprint names the BackupBlueprint or BackupTemplate it came from.
	AnnotationExpandedBlueprint = prefix + "expanded-blueprint"
	// AnnotationWritesAs says, on a repository worker's Job, as whom it writes a mounted volume.
	AnnotationWritesAs = prefix + "writes-as"
)

// Names inside completed pods. The containers are Stash's own names (facts §4.3, §4.4).
const (
	ContainerSidecar = "stash"
	ContainerRestore = "stash-init"
	ContainerWorker  = "stash-worker"
	// ContainerJob backs up or restores what no pod of the user's has, in a Job's pod.
	ContainerJob = "stash-job"

	VolumeTmp      = "stash-tmp-dir"
	VolumeToken    = "stash-token"
	VolumeCA       = "stash-ca"
	MountTmp       = "/stash-tmp"
	MountToken     = "/var/run/secrets/stash/token"
	MountCA        = "/var/run/secrets/stash/ca"
	ConfigMapCA    = "stash-ca"
	ConfigMapCAKey = "ca.crt"
	VolumeLocal    = "stash-local"
	// VolumeTarget is the target's own volume in a Job's pod, and MountTarget where it is mounted unless
	// the object says otherwise: both are the existing Stash's (facts §3.4, §9.5), so that paths in its
	// repositories hold.
	VolumeTarget = "stash-volume"
	MountTarget  = "/stash-data"

	// TokenAudience is the audience of the projected token that agents show to the broker.
	TokenAudience = Group
	// TagSession is the prefix of the restic tag that ties a snapshot to its BackupSession.
	TagSession = "stash-session="
	// TagPartial marks a snapshot whose backup was told to leave files out: restic notes only some of what
	// tells it so.
	TagPartial = "stash-partial"

	DefaultHost = "host-0"
)
