package session

import (
	"fmt"
	"time"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Intervals of repository work.
const (
	pruneInterval = 24 * time.Hour
	checkInterval = 7 * 24 * time.Hour
	listInterval  = 24 * time.Hour
	probeInterval = time.Hour
	workLimit     = 24 * time.Hour
	// secretInterval is how often the storage Secret of a backend that cannot be used is looked at:
	// Secrets are not watched.
	secretInterval = time.Minute
)

// User is a BackupConfiguration that uses a Repository.
type User struct {
	// Invoker is <kind>/<namespace>/<name>.
	Invoker string
	Config  *v1beta1.BackupConfiguration
	// Held names the RestoreSession that holds its target: retention waits.
	Held string
}

// Search is a session that needs something found in the repository.
type Search struct {
	// Subject is <kind>/<namespace>/<name>, UID that of the session.
	Subject string
	UID     string
}

// Repository is what is observed of a Repository.
type Repository struct {
	Repository *v1alpha1.Repository
	// Problem says why no work is possible, for example a missing Secret; empty: it is.
	Problem string
	// SecretVersion is the version of the storage Secret now.
	SecretVersion string
	Users         []User
	// Searches are BackupSessions with lost results and RestoreSessions to pin, oldest first.
	Searches []Search
	// Demanded tells that somebody waits for the repository to be probed since that time.
	Demanded time.Time
	// Busy tells that backups or restores are under way at the location.
	Busy bool
	// Claimed names another Repository whose work holds the location.
	Claimed string
	// Worker is the pod that can do the work; nil: it must be made first.
	Worker *Pod
	// WorkerPod is the pod that the present work was given to; nil: it is gone.
	WorkerPod *Pod
	// DeadHosts are hostnames of pods of ours that have all ended, and since when their locks can be
	// told to be dead.
	DeadHosts   map[string]time.Time
	LeaderSince time.Time
	Limits      Limits
}

// WorkAction is what a Repository needs next.
type WorkAction struct {
	// Operation to begin; empty: none.
	Operation v1alpha1.RepositoryOperation
	Subject   string
	UID       string
	// NeedWorker asks for a worker pod.
	NeedWorker bool
	// Abandon takes the present work from a worker that is gone.
	Abandon bool
	// Unreached tells that the worker runs and never took the work.
	Unreached bool
	// Waits is the operation that is due and finds backups or restores at the location; empty: none.
	Waits   v1alpha1.RepositoryOperation
	Message string
	After   time.Duration
}

// Exclusive tells whether an operation needs the location for itself.
func Exclusive(op v1alpha1.RepositoryOperation) bool {
	switch op {
	case v1alpha1.OperationInit, v1alpha1.OperationForget, v1alpha1.OperationCheck, v1alpha1.OperationUnlock:
		return true
	case v1alpha1.OperationProbe, v1alpha1.OperationList, v1alpha1.OperationFind:
	}
	return false
}

// NextWork returns what a Repository needs next.
func NextWork(o *Repository, now time.Time) WorkAction {
	if w := o.Repository.Status.Work; w != nil {
		return o.underWay(*w, now)
	}
	if o.Problem != "" {
		return WorkAction{Message: o.Problem, After: time.Minute}
	}
	a := o.want(now)
	interrupted := Interrupted(o.Repository, now) != nil
	if interrupted && (a.Operation == "" || Exclusive(a.Operation) && a.Operation != v1alpha1.OperationUnlock) {
		return WorkAction{Message: "waiting for the next look at locks", After: 10 * time.Second}
	}
	if a.Operation == "" {
		return a
	}
	if Exclusive(a.Operation) && o.Busy && !interrupted {
		return WorkAction{Waits: a.Operation, Message: "waiting for backups and restores at this location", After: 5 * time.Second}
	}
	if o.Claimed != "" {
		return WorkAction{Message: fmt.Sprintf("waiting for %s, which works at this location", o.Claimed), After: 2 * time.Second}
	}
	if o.Worker == nil {
		return WorkAction{NeedWorker: true, Message: "waiting for a worker", After: 5 * time.Second}
	}
	return a
}

// underWay looks after the operation that a worker does now. An init is given to another worker
// only when the first is known dead: two at once destroy a repository.
func (o *Repository) underWay(w v1alpha1.RepositoryWork, now time.Time) WorkAction {
	gone := o.WorkerPod == nil || o.WorkerPod.Dead
	if gone {
		return WorkAction{Abandon: true, Message: fmt.Sprintf("worker %q ended in the middle of %s", w.Pod, w.Operation)}
	}
	since := now.Sub(later(w.StartTime.Time, o.LeaderSince))
	// A pod on a node without power runs as far as its status says, but is not ready.
	if (!o.WorkerPod.Agent || !o.WorkerPod.Ready) && since > o.Limits.Heartbeat && w.Operation != v1alpha1.OperationInit {
		return WorkAction{Abandon: true, Message: fmt.Sprintf("worker %q does not run", w.Pod)}
	}
	if w.AskedTime == nil && since > o.Limits.Accept {
		return WorkAction{
			Abandon: w.Operation != v1alpha1.OperationInit, Unreached: true, After: 10 * time.Second,
			Message: fmt.Sprintf("pod %q of the repository worker runs and never took the work: it is not connected to Stash (its log says why)", w.Pod),
		}
	}
	if since > workLimit && w.Operation != v1alpha1.OperationInit {
		return WorkAction{Abandon: true, Message: fmt.Sprintf("%s took more than %s", w.Operation, workLimit)}
	}
	return WorkAction{Message: fmt.Sprintf("%s is under way", w.Operation), After: 10 * time.Second}
}

// want returns the operation that is due, whatever stands in its way.
func (o *Repository) want(now time.Time) WorkAction {
	st := o.Repository.Status
	if o.probeDue(now) {
		return WorkAction{Operation: v1alpha1.OperationProbe}
	}
	// What kept the last operation waiting is looked at before it is waited for.
	if o.lookDue(now) {
		return WorkAction{Operation: v1alpha1.OperationUnlock}
	}
	if left := o.pause(now); left > 0 {
		if !api.IsTrue(st.Conditions, api.BackendReachable) {
			left = min(left, secretInterval)
		}
		return WorkAction{Message: "waiting before the next attempt", After: left}
	}
	if !api.IsTrue(st.Conditions, api.BackendReachable) {
		return WorkAction{After: secretInterval}
	}
	if !api.IsTrue(st.Conditions, api.BackendRepositoryInitialized) {
		if len(o.Users) > 0 && !Gone(o.Repository) {
			return WorkAction{Operation: v1alpha1.OperationInit}
		}
		return WorkAction{After: probeInterval}
	}
	unlock := o.unlockAt()
	if !unlock.IsZero() && !now.Before(unlock) && o.backsOff(v1alpha1.OperationUnlock, now) == 0 {
		return WorkAction{Operation: v1alpha1.OperationUnlock}
	}
	if len(o.Searches) > 0 {
		s := o.Searches[0]
		return WorkAction{Operation: v1alpha1.OperationFind, Subject: s.Subject, UID: s.UID}
	}
	u, uid := o.retentionDue()
	if u != nil && o.backsOff(v1alpha1.OperationForget, now) == 0 {
		return WorkAction{Operation: v1alpha1.OperationForget, Subject: u.Invoker, UID: uid}
	}
	a := o.upkeep(now)
	if a.Operation != "" {
		return a
	}
	if !unlock.IsZero() {
		a.After = min(a.After, max(unlock.Sub(now), o.backsOff(v1alpha1.OperationUnlock, now)))
	}
	if u != nil {
		a.After = min(a.After, o.backsOff(v1alpha1.OperationForget, now))
	}
	return a
}

// UnknownLock stands, in a Repository's status, for locks that were met and not looked at yet.
const UnknownLock = "?"

// Backoff is the pause after so many failures in a row.
func Backoff(failures int32) time.Duration {
	return min(time.Hour, time.Duration(1<<min(max(failures, 0), 10))*5*time.Second)
}

// searchPause is the longest pause while a session waits for something to be found.
const searchPause = 30 * time.Second

// pause is how long nothing is tried after a failure. Who waits for a search has a limit: the
// failures of other operations must not use it up.
func (o *Repository) pause(now time.Time) time.Duration {
	next := o.Repository.Status.NextAttempt
	if next == nil {
		return 0
	}
	at := next.Time
	if backoff := Backoff(o.Repository.Status.Failures); len(o.Searches) > 0 && backoff > searchPause {
		at = at.Add(searchPause - backoff)
	}
	return at.Sub(now)
}

// upkeep is what is done now and then.
func (o *Repository) upkeep(now time.Time) WorkAction {
	st := o.Repository.Status
	if st.LastListTime == nil || now.Sub(st.LastListTime.Time) > listInterval || st.LastBackupTime != nil && st.LastBackupTime.After(st.LastListTime.Time) {
		return WorkAction{Operation: v1alpha1.OperationList}
	}
	after := st.LastListTime.Add(listInterval).Sub(now)
	if st.SnapshotCount > 0 && len(o.Users) > 0 {
		last := o.Repository.CreationTimestamp.Time
		if st.LastCheckTime != nil {
			last = st.LastCheckTime.Time
		}
		next := max(last.Add(checkInterval).Sub(now), o.backsOff(v1alpha1.OperationCheck, now))
		if next <= 0 {
			return WorkAction{Operation: v1alpha1.OperationCheck}
		}
		after = min(after, next)
	}
	return WorkAction{After: max(after, time.Minute)}
}

func (o *Repository) probeDue(now time.Time) bool {
	st := o.Repository.Status
	if st.LastProbeTime == nil || st.ObservedGeneration != o.Repository.Generation {
		return true
	}
	reachable := api.IsTrue(st.Conditions, api.BackendReachable)
	if !reachable && st.StorageSecretVersion != o.SecretVersion {
		return true // what kept it from use may be mended
	}
	if o.Demanded.After(st.LastProbeTime.Time) && !reachable {
		return true
	}
	// Somebody still waits for a backend that failed: it is asked again, more and more seldom.
	if !o.Demanded.IsZero() && !reachable && st.NextAttempt != nil && !now.Before(st.NextAttempt.Time) {
		return true
	}
	// Where nobody makes it, it may come otherwise.
	if o.Demanded.After(st.LastProbeTime.Time) && !api.IsTrue(st.Conditions, api.BackendRepositoryInitialized) && (len(o.Users) == 0 || Gone(o.Repository)) {
		return true
	}
	return now.Sub(st.LastProbeTime.Time) > probeInterval && (!reachable || Gone(o.Repository))
}

// unlockAt is from when on the locks that were seen are all known dead. It is zero where some may be of
// the living, and where they were looked at since: what was left is a stranger's.
func (o *Repository) unlockAt() time.Time {
	var at time.Time
	for _, l := range o.Repository.Status.Locks {
		since, dead := o.DeadHosts[l]
		if !dead {
			return time.Time{}
		}
		at = later(at, since)
	}
	if seen := o.Repository.Status.LastUnlockTime; seen != nil && !at.After(seen.Time) {
		return time.Time{}
	}
	return at
}
