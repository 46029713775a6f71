// Package protocol is what the broker and its agents say to each other: JSON values, one a line,
// both ways over one HTTP/2 request (POST /v1/agent). The agent opens the stream with its projected
// ServiceAccount token as bearer token, says Hello and keeps the stream open; the broker sends Tasks
// down, the agent sends Progress and Results up and repeats a Result after every reconnect until it
// is acknowledged. Nothing here imports Kubernetes: the agent stays small.
package protocol

import (
	"time"

	"github.com/seed-731df569/stash/restic"
)

// Version of the protocol. A broker answers an agent of another version in that agent's version or
// refuses it with a sentence that names both.
const Version = 1

// Path of the stream.
const Path = "/v1/agent"

// RoleHeader names the agent's role in the request that opens the stream: who it is must be proven
// before its first line is read.
const RoleHeader = "Stash-Role"

// Up is a line from an agent; exactly one field is set.
type Up struct {
	Hello    *Hello    `json:"hello,omitempty"`
	Accept   *Accept   `json:"accept,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	// Alive is sent every HeartbeatInterval.
	Alive bool `json:"alive,omitempty"`
}

// Down is a line from the broker; exactly one field is set.
type Down struct {
	Task *Task `json:"task,omitempty"`
	// Cancel is the ID of a task to stop; its Result still follows.
	Cancel string `json:"cancel,omitempty"`
	// Ack is the ID of a task whose Result is stored; the agent forgets it.
	Ack string `json:"ack,omitempty"`
	// Alive answers the agent's.
	Alive bool `json:"alive,omitempty"`
	// Wait says, for the log of a waiting init-container, why there is no work yet.
	Wait string `json:"wait,omitempty"`
	// Finish tells an init-container or a Job that nothing is to be done (any more): it exits 0. A worker
	// exits too.
	Finish bool `json:"finish,omitempty"`
	// Refuse tells the agent why it gets no work; it exits non-zero (init-container, Job) or tries
	// again later (sidecar, worker).
	Refuse string `json:"refuse,omitempty"`
}

// HeartbeatInterval is the time between two Alive lines; three missed ones end a stream.
const HeartbeatInterval = 10 * time.Second

// Role is what an agent is there for.
type Role string

// Roles of agents.
const (
	RoleSidecar Role = "sidecar" // container "stash": backups
	RoleInit    Role = "init"    // container "stash-init": one restore
	RoleWorker  Role = "worker"  // repository worker Job

	RoleBackupJob  Role = "backup-job"  // container "stash-job": one backup
	RoleRestoreJob Role = "restore-job" // container "stash-job": one restore
)

// Roles are all of them.
func Roles() []Role {
	return []Role{RoleSidecar, RoleInit, RoleWorker, RoleBackupJob, RoleRestoreJob}
}

// BacksUp tells whether agents of the role have the work of BackupSessions.
func (r Role) BacksUp() bool { return r == RoleSidecar || r == RoleBackupJob }

// Restores tells whether agents of the role have the work of RestoreSessions.
func (r Role) Restores() bool { return r == RoleInit || r == RoleRestoreJob }

// Once tells whether agents of the role end when their one task has a result that is stored.
func (r Role) Once() bool { return r == RoleInit || r == RoleBackupJob || r == RoleRestoreJob }

// ByJob tells whether agents of the role run in the pods of Jobs that Stash makes.
func (r Role) ByJob() bool { return r == RoleWorker || r == RoleBackupJob || r == RoleRestoreJob }

// Hello introduces an agent. Who it is comes from its token, not from here.
type Hello struct {
	Version int    `json:"version"`
	Role    Role   `json:"role"`
	Build   string `json:"build"`
	// Hostname is the kernel's, which restic writes into its locks. Whoever lies about it holds the keys
	// of the repository, and could remove any lock itself. Builds from before it do not say it.
	Hostname string `json:"hostname,omitempty"`
	// Running are the IDs of tasks that are being worked on or whose Results are not acknowledged.
	Running []string `json:"running,omitempty"`
	// Mounted are, for a worker, the local backend's mount path, if any.
	Mounted string `json:"mounted,omitempty"`
}

// Accept says that the agent has taken a task and starts it.
type Accept struct {
	ID string `json:"id"`
}

// Task is one piece of work; exactly one of Backup, Dump, Restore, Load and Maintain is set.
type Task struct {
	// ID is that of the assignment (BackupSession, RestoreSession) or of the Repository's work.
	ID         string            `json:"id"`
	Repository restic.Repository `json:"repository"`
	// Cache holds the limits of restic's cache.
	Cache    Cache     `json:"cache"`
	Backup   *Backup   `json:"backup,omitempty"`
	Restore  *Restore  `json:"restore,omitempty"`
	Maintain *Maintain `json:"maintain,omitempty"`
	// Dump and Load are a backup and a restore of a database. An agent of an older build says that it
	// knows no such work.
	Dump *Dump `json:"dump,omitempty"`
	Load *Load `json:"load,omitempty"`
	// Deadline ends the task; zero: none.
	Deadline time.Time `json:"deadline,omitzero"`
	// Nice and IONice are the priorities that restic runs with.
	Nice   *int    `json:"nice,omitempty"`
	IONice *IONice `json:"ionice,omitempty"`
}

// Cache says where restic may keep its cache.
type Cache struct {
	Disabled bool `json:"disabled,omitempty"`
	// LimitBytes of the cache directory; 0: no limit.
	LimitBytes int64 `json:"limitBytes,omitempty"`
}

// IONice is ionice(1).
type IONice struct {
	Class int `json:"class,omitempty"`
	Level int `json:"level,omitempty"`
}

// Backup backs up the paths of one host, one snapshot each.
type Backup struct {
	Host    string   `json:"host"`
	Paths   []string `json:"paths"`
	Exclude []string `json:"exclude,omitempty"`
	Args    []string `json:"args,omitempty"`
	Tags    []string `json:"tags"`
}

// Restore restores snapshots of one host.
type Restore struct {
	Host      string            `json:"host"`
	Snapshots []RestoreSnapshot `json:"snapshots"`
	Args      []string          `json:"args,omitempty"`
}

// RestoreSnapshot is one snapshot and the path in it that is restored to the same path here.
type RestoreSnapshot struct {
	ID      string   `json:"id"`
	Path    string   `json:"path"`
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// Delete removes files that the snapshot does not have.
	Delete bool `json:"delete,omitempty"`
	// Elsewhere are paths below Path that later snapshots of the task hold, which are not older: they are
	// left out of this one, unless Include says what is restored. An agent of an older build restores them
	// twice, and the later one last.
	Elsewhere []string `json:"elsewhere,omitempty"`
}

// Operation of a repository worker; the values are those of v1alpha1.RepositoryOperation.
type Operation string

// Operations.
const (
	OpProbe  Operation = "Probe"  // does the repository exist, does the key fit
	OpInit   Operation = "Init"   // create it
	OpForget Operation = "Forget" // apply a retention policy, prune when asked, then as List
	OpCheck  Operation = "Check"  // restic check
	OpList   Operation = "List"   // snapshots and statistics
	OpFind   Operation = "Find"   // snapshots that match Queries
	OpUnlock Operation = "Unlock" // remove locks if all of them are Dead
)

// Maintain is work of a repository worker.
type Maintain struct {
	Operation Operation `json:"operation"`
	Forget    *Forget   `json:"forget,omitempty"`
	Queries   []Query   `json:"queries,omitempty"`
	// Dead are the locks that nobody holds. A worker of an older build does not know them, and removes
	// none.
	Dead []DeadLocks `json:"dead,omitempty"`
}

// DeadLocks are the locks of a hostname that were last renewed in a span of time: they are of pods of
// ours that have ended, or of a restic that was killed.
type DeadLocks struct {
	// Hostname is the kernel's.
	Hostname string `json:"hostname"`
	// From is the first moment of the span; zero: there is none.
	From time.Time `json:"from,omitzero"`
	// Before is the end of the span, and not part of it.
	Before time.Time `json:"before"`
}

// Has tells whether a lock is one of them.
func (d DeadLocks) Has(l restic.Lock) bool {
	return l.Hostname != "" && l.Hostname == d.Hostname && !l.Time.Before(d.From) && l.Time.Before(d.Before)
}

// Forget is a retention policy and what it is applied to.
type Forget struct {
	Policy restic.ForgetPolicy `json:"policy"`
	// Groups are the host and path pairs of the target; each is a group of its own.
	Groups []Group `json:"groups"`
	// Protect are IDs that are kept whatever the policy says.
	Protect []string `json:"protect,omitempty"`
	Prune   bool     `json:"prune,omitempty"`
	DryRun  bool     `json:"dryRun,omitempty"`
}

// Group is the snapshots of one path of one host. An empty path stands for all paths of the host.
type Group struct {
	Host string `json:"host"`
	Path string `json:"path,omitempty"`
}

// Query selects snapshots; conditions are joined by and, empty ones hold.
type Query struct {
	Host string   `json:"host,omitempty"`
	Path string   `json:"path,omitempty"`
	Tag  string   `json:"tag,omitempty"`
	IDs  []string `json:"ids,omitempty"` // full IDs or prefixes
	// Latest returns only the newest match of each host and path, and, where that holds no file, also
	// the newest one that does.
	Latest bool `json:"latest,omitempty"`
	// Look asks, of each match, what a rule could not restore from it.
	Look *Look `json:"look,omitempty"`
}

// Look says what a rule of a restore takes from a snapshot.
type Look struct {
	// Rule is the rule's index, which the answer repeats.
	Rule int `json:"rule"`
	// Paths that are restored, of which a snapshot is asked for those at or below its own; empty: its own.
	Paths   []string `json:"paths,omitempty"`
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// Args are further arguments of the restore.
	Args []string `json:"args,omitempty"`
}

// Lack is what a rule cannot restore from a snapshot.
type Lack struct {
	// ID is the snapshot's.
	ID   string `json:"id"`
	Path string `json:"path"`
	Rule int    `json:"rule"`
	// Why is a sentence for people.
	Why string `json:"why"`
}

// Progress is how far restic is.
type Progress struct {
	ID          string  `json:"id"`
	Percent     float64 `json:"percent"`
	BytesDone   int64   `json:"bytesDone"`
	TotalBytes  int64   `json:"totalBytes"`
	FilesDone   int64   `json:"filesDone"`
	TotalFiles  int64   `json:"totalFiles"`
	SecondsLeft int64   `json:"secondsLeft"`
	Path        string  `json:"path,omitempty"`
}

// Reason classifies the error of a Result; the values are stable. Most come from restic's exit
// codes and messages, so the type is that package's.
type Reason = restic.Reason

// Reasons.
const (
	ReasonNoRepository  = restic.ReasonNoRepository  // restic's exit code 10
	ReasonLocked        = restic.ReasonLocked        // 11
	ReasonWrongPassword = restic.ReasonWrongPassword // 12
	ReasonUnreachable   = restic.ReasonUnreachable
	ReasonAccessDenied  = restic.ReasonAccessDenied
	ReasonNoBucket      = restic.ReasonNoBucket
	ReasonDeadline      = restic.ReasonDeadline
	ReasonCanceled      = restic.ReasonCanceled
	ReasonPathMissing   = restic.ReasonPathMissing
	ReasonUnreadable    = restic.ReasonUnreadable
	ReasonNoSnapshot    = restic.ReasonNoSnapshot
	ReasonOwnership     = restic.ReasonOwnership
	ReasonDatabase      = restic.ReasonDatabaseUnreachable
	ReasonDumpFailed    = restic.ReasonDumpFailed
	ReasonLoadFailed    = restic.ReasonLoadFailed
	ReasonOther         = restic.ReasonOther
)

// Result ends a task. Error is empty on success; it never holds a secret.
type Result struct {
	ID       string        `json:"id"`
	Error    string        `json:"error,omitempty"`
	Reason   Reason        `json:"reason,omitempty"`
	Started  time.Time     `json:"started"`
	Finished time.Time     `json:"finished"`
	Duration time.Duration `json:"duration"`

	// Backups has one entry for each path that got a snapshot, also where Error is set.
	Backups []PathBackup `json:"backups,omitempty"`
	// Restored counts what a restore wrote.
	Restored *Restored `json:"restored,omitempty"`
	// Maintained is what an operation found.
	Maintained *Maintained `json:"maintained,omitempty"`
}

// PathBackup is the snapshot of one path.
type PathBackup struct {
	Path    string               `json:"path"`
	Summary restic.BackupSummary `json:"summary"`
	// Unreadable are files that are missing from the snapshot, at most 20; UnreadableCount counts all.
	Unreadable      []string `json:"unreadable,omitempty"`
	UnreadableCount int      `json:"unreadableCount,omitempty"`
}

// Restored counts what a restore wrote.
type Restored struct {
	Files   int64 `json:"files"`
	Bytes   int64 `json:"bytes"`
	Skipped int64 `json:"skipped"`
	Deleted int64 `json:"deleted"`
	// AlreadyDone tells that the pod had recorded this restore as complete before.
	AlreadyDone bool `json:"alreadyDone,omitempty"`
}

// Maintained is what an operation of a worker found.
type Maintained struct {
	// Exists is the answer to Probe.
	Exists *bool `json:"exists,omitempty"`
	// RepositoryID and FormatVersion are those of restic's config (Probe, Init).
	RepositoryID  string `json:"repositoryID,omitempty"`
	FormatVersion int    `json:"formatVersion,omitempty"`
	// Snapshots are the newest 50 (List, Forget) or all matches (Find).
	Snapshots     []restic.Snapshot `json:"snapshots,omitempty"`
	SnapshotCount int               `json:"snapshotCount,omitempty"`
	// Lacks answers the Looks of Queries (Find); what is not in it can be restored, as far as is known.
	Lacks []Lack `json:"lacks,omitempty"`
	// Looked tells that the Looks were made (Find): agents of before it do not make them all.
	Looked    bool  `json:"looked,omitempty"`
	TotalSize int64 `json:"totalSize,omitempty"`
	Removed   int   `json:"removed,omitempty"`
	// WouldRemove is, in a dry run, what would be removed; nothing was.
	WouldRemove *int `json:"wouldRemove,omitempty"`
	// Protected are IDs that the policy would have removed and that were kept.
	Protected []string `json:"protected,omitempty"`
	Pruned    bool     `json:"pruned,omitempty"`
	// Healthy is the answer to Check; false with Error empty means damage, listed in Faults.
	Healthy *bool    `json:"healthy,omitempty"`
	Faults  []string `json:"faults,omitempty"`
	// Locks that are held, and whether they were removed (Unlock). List and Forget say only their
	// IDs.
	Locks    []restic.Lock `json:"locks,omitempty"`
	Unlocked bool          `json:"unlocked,omitempty"`
}
