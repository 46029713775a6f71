package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// errNoWork tells that a result is of work that was taken away meanwhile.
var errNoWork = errors.New("no such work")

// maxSnapshots bounds the list in a Repository's status.
const maxSnapshots = 50

// workResult stores what an operation of a repository worker found. What a session waits for is
// written to the session first: should the second write fail, the operation is repeated.
func (g *Agents) workResult(ctx context.Context, id broker.Identity, r protocol.Result) error {
	repo, err := g.repositoryOf(ctx, id, r.ID)
	if errors.Is(err, errNoWork) {
		return nil
	}
	if err != nil {
		return err
	}
	w := repo.Status.Work
	if w.Operation == v1alpha1.OperationFind && !misleading(repo, *w) {
		if err := g.searched(ctx, w.Subject, r); err != nil {
			return err
		}
	}
	left, err := g.leftOut(ctx, *w)
	if err != nil {
		return err
	}
	if session.Exclusive(w.Operation) && interruption(repo, *w, r, g.Now()) == nil {
		if err := g.unclaim(ctx, repo, w.ID); err != nil {
			return err
		}
	}
	var told *v1alpha1.Repository
	outdated := false
	err = updateStatus(ctx, g.World, client.ObjectKeyFromObject(repo), &v1alpha1.Repository{}, func(live *v1alpha1.Repository) (bool, error) {
		told = nil
		if live.Status.Work == nil || live.Status.Work.ID != r.ID {
			return false, nil
		}
		told, outdated = live, w.Generation != live.Generation
		settle(live, r, left, g.Now())
		return true, nil
	})
	if err != nil || told == nil || outdated && r.Error != "" {
		return ignoreGone(err)
	}
	g.tellGone(repo, told)
	g.tellWork(ctx, told, *w, r, outdated, left)
	return nil
}

// settle ends the work of a Repository with its result; left names what retention left out.
func settle(live *v1alpha1.Repository, r protocol.Result, left string, at time.Time) {
	w, now := *live.Status.Work, metav1.NewTime(at)
	live.Status.Work = nil
	live.Status.Interrupted = interruption(live, w, r, at)
	if w.Generation != live.Generation {
		recordOutdated(live, w, r, now)
		return
	}
	recordWork(live, w, r, now)
	if c := api.FindCondition(live.Status.Conditions, api.RetentionPolicyApplied); c != nil && w.Operation == v1alpha1.OperationForget && r.Error == "" {
		c.Message += left
	}
}

// tellWork tells people what came of an operation, and its configuration of its retention.
func (g *Agents) tellWork(ctx context.Context, repo *v1alpha1.Repository, w v1alpha1.RepositoryWork, r protocol.Result, outdated bool, left string) {
	switch {
	case r.Error != "":
		g.event(repo, corev1.EventTypeWarning, string(w.Operation)+" Failed", shorten(r.Error))
	case !outdated && w.Operation == v1alpha1.OperationCheck:
		g.tellIntegrity(repo)
	}
	if w.Operation == v1alpha1.OperationForget {
		g.noteRetention(ctx, w, r, left)
	}
}

// searched tells who asked for a search how it ended.
func (g *Agents) searched(ctx context.Context, subject string, r protocol.Result) error {
	switch {
	case r.Error != "":
		return g.notFound(ctx, subject, r.Reason, r.Error)
	case r.Maintained != nil:
		return g.found(ctx, subject, r.Maintained)
	}
	return nil
}

// repositoryOf finds the Repository whose work has the ID, in the worker's namespace.
func (g *Agents) repositoryOf(ctx context.Context, id broker.Identity, work string) (*v1alpha1.Repository, error) {
	list := &v1alpha1.RepositoryList{}
	if err := g.Live.List(ctx, list, client.InNamespace(id.Namespace)); err != nil {
		return nil, fmt.Errorf("list Repositories: %w", err)
	}
	for i := range list.Items {
		if w := list.Items[i].Status.Work; w != nil && w.ID == work && w.PodUID == id.PodUID {
			return &list.Items[i], nil
		}
	}
	return nil, errNoWork
}

// recordWork writes the result of an operation into the Repository's status.
func recordWork(repo *v1alpha1.Repository, w v1alpha1.RepositoryWork, r protocol.Result, now metav1.Time) {
	st := &repo.Status
	switch w.Operation {
	case v1alpha1.OperationProbe, v1alpha1.OperationInit:
		asked(repo, w, now)
	case v1alpha1.OperationForget, v1alpha1.OperationCheck, v1alpha1.OperationList,
		v1alpha1.OperationFind, v1alpha1.OperationUnlock:
	}
	if r.Error != "" {
		recordFailure(repo, w, r, now)
		return
	}
	m := r.Maintained
	if m == nil {
		m = &protocol.Maintained{}
	}
	if w.Operation == v1alpha1.OperationUnlock && len(m.Locks) > 0 && !m.Unlocked {
		st.Locks = lockHosts(m.Locks) // somebody's: what they keep waiting is tried again as planned
		session.Resume(st, w.Operation, true)
		return
	}
	st.Failures, st.NextAttempt = 0, nil
	session.Resume(st, w.Operation, false)
	if w.Operation != v1alpha1.OperationProbe {
		st.Locks = nil // a probe reads no locks
	}
	st.Phase = v1alpha1.RepositoryReady
	set := func(kind, reason, message string) {
		api.SetCondition(&st.Conditions, condition(kind, true, reason, message, repo.Generation), now)
	}
	set(api.BackendReachable, "BackendAnswered", "the backend answered and the keys fit")
	switch w.Operation {
	case v1alpha1.OperationProbe:
		if m.Exists != nil && *m.Exists {
			set(api.BackendRepositoryInitialized, "BackendRepositoryFound", "the repository exists in the backend")
			noteFound(repo, now)
		} else {
			noteAbsent(repo, "the backend holds no repository yet; it is made as soon as a BackupConfiguration uses it", now)
		}
	case v1alpha1.OperationInit:
		set(api.BackendRepositoryInitialized, "BackendRepositoryFound", "the repository was created in the backend")
		noteFound(repo, now)
	case v1alpha1.OperationForget:
		recordList(st, m, now)
		recordRetention(st, w, m, now)
		set(api.RetentionPolicyApplied, "SuccessfullyAppliedRetentionPolicy", retentionText(m))
	case v1alpha1.OperationList:
		recordList(st, m, now)
		noteFound(repo, now) // seen by an older version, which did not note where
	case v1alpha1.OperationCheck:
		recordCheck(repo, m, now)
	case v1alpha1.OperationFind, v1alpha1.OperationUnlock:
	}
	// No agent was at work: whose locks these are is looked at next. A search means that a pod was
	// lost, which may have left one.
	if len(m.Locks) > 0 && w.Operation != v1alpha1.OperationUnlock || w.Operation == v1alpha1.OperationFind && strings.HasPrefix(w.Subject, v1beta1.KindBackupSession+"/") {
		st.Locks = []string{session.UnknownLock}
	}
}

// lockHosts names the hosts of locks, each once.
func lockHosts(locks []restic.Lock) []string {
	var hosts []string
	for _, l := range locks {
		if len(hosts) < maxSnapshots && !slices.Contains(hosts, l.Hostname) {
			hosts = append(hosts, l.Hostname)
		}
	}
	return hosts
}

// recordFailure sets the condition that an operation is about and the time of the next attempt.
func recordFailure(repo *v1alpha1.Repository, w v1alpha1.RepositoryWork, r protocol.Result, now metav1.Time) {
	st := &repo.Status
	alone := session.BacksOffAlone(w.Operation)
	if alone {
		session.BackOff(st, w.Operation, string(r.Reason), now.Time)
	} else {
		st.Failures++
		next := metav1.NewTime(now.Add(session.Backoff(st.Failures)))
		st.NextAttempt = &next
	}
	text := withRemedy(r.Error, remedy(repo, r))
	set := func(kind, reason string) {
		api.SetCondition(&st.Conditions, condition(kind, false, reason, text, repo.Generation), now)
	}
	noteEnd(st, w, r)
	unseen := slices.Contains(st.Locks, session.UnknownLock)
	st.Locks = nil
	switch r.Reason {
	case restic.ReasonUnreachable, restic.ReasonAccessDenied, restic.ReasonNoBucket, restic.ReasonWrongPassword:
		// What was to be looked at still is once the backend is back, and so is what this run left there.
		if unseen || r.Reason == restic.ReasonUnreachable && w.Operation != v1alpha1.OperationProbe {
			st.Locks = []string{session.UnknownLock}
		}
		if !alone {
			set(api.BackendReachable, string(r.Reason))
			st.Phase = v1alpha1.RepositoryNotReady
			return
		}
		st.LastProbeTime = nil // backups may go on: whether the backend can be used says a probe
	case restic.ReasonNoRepository:
		st.Phase = v1alpha1.RepositoryNotReady
		noteAbsent(repo, text, now)
		st.LastProbeTime = nil // a second look decides whether one is made
		return
	case restic.ReasonLocked:
		// Whose locks they are is looked at next: those of dead pods are removed.
		if w.Operation != v1alpha1.OperationUnlock {
			st.Locks = []string{session.UnknownLock}
		}
	default:
	}
	switch w.Operation {
	case v1alpha1.OperationProbe:
		set(api.BackendReachable, "BackendNotUsable")
		st.Phase = v1alpha1.RepositoryNotReady
	case v1alpha1.OperationInit:
		set(api.BackendRepositoryInitialized, "FailedToInitializeBackendRepository")
		st.Phase = v1alpha1.RepositoryNotReady
	case v1alpha1.OperationForget:
		set(api.RetentionPolicyApplied, "FailedToApplyRetentionPolicy")
	case v1alpha1.OperationCheck:
		set(api.RepositoryIntegrityVerified, "FailedToVerifyRepositoryIntegrity")
	case v1alpha1.OperationList, v1alpha1.OperationFind, v1alpha1.OperationUnlock:
	}
}

// noteEnd notes that a worker's restic has failed and ended: locks of it that are older are dead.
func noteEnd(st *v1alpha1.RepositoryStatus, w v1alpha1.RepositoryWork, r protocol.Result) {
	i := slices.IndexFunc(st.Holders, func(h v1alpha1.Holder) bool { return h.UID == w.PodUID })
	if i >= 0 && r.Error != "" && !r.Finished.IsZero() {
		ended := metav1.NewTime(r.Finished)
		st.Holders[i].Ended = &ended
	}
}

func recordList(st *v1alpha1.RepositoryStatus, m *protocol.Maintained, now metav1.Time) {
	st.LastListTime = &now
	st.SnapshotCount = int64(m.SnapshotCount)
	st.TotalBytes, st.TotalSize = m.TotalSize, formatBytes(m.TotalSize)
	if m.Pruned {
		st.LastPruneTime = &now
	}
	st.Snapshots = nil
	for _, s := range m.Snapshots {
		if len(st.Snapshots) == maxSnapshots {
			break
		}
		size, files := int64(-1), int64(-1)
		if s.Summary != nil {
			size, files = s.Summary.TotalBytesProcessed, s.Summary.TotalFilesProcessed
		}
		st.Snapshots = append(st.Snapshots, v1alpha1.Snapshot{
			ID: s.ID, Time: metav1.NewTime(s.Time.Truncate(time.Second)), Hostname: s.Hostname,
			Paths: firstFew(s.Paths), Tags: firstFew(s.Tags), Size: size, Files: files,
		})
	}
}

// firstFew are those of a list that is not ours: whoever writes to the repository may make it long.
func firstFew(list []string) []string {
	const few, long = 10, 1024
	if len(list) > few {
		list = append(slices.Clone(list[:few-1]), fmt.Sprintf("… (%d in all)", len(list)))
	}
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, protocol.Clip(s, long))
	}
	return out
}

// retentionText says what a retention policy did, or would do.
func retentionText(m *protocol.Maintained) string {
	if n := m.WouldRemove; n != nil {
		return fmt.Sprintf("dry run: %d snapshots would be removed, %d kept against the policy; nothing was removed", *n, len(m.Protected))
	}
	return fmt.Sprintf("%d snapshots were removed, %d kept against the policy", m.Removed, len(m.Protected))
}

func recordRetention(st *v1alpha1.RepositoryStatus, w v1alpha1.RepositoryWork, m *protocol.Maintained, now metav1.Time) {
	st.SnapshotsRemovedOnLastCleanup = int64(m.Removed)
	entry := v1alpha1.RetentionStatus{Invoker: w.Subject, Session: w.SubjectUID, Removed: int64(m.Removed), Time: now}
	for i := range st.Retentions {
		if st.Retentions[i].Invoker == w.Subject {
			st.Retentions[i] = entry
			return
		}
	}
	st.Retentions = append(st.Retentions, entry)
}

func recordCheck(repo *v1alpha1.Repository, m *protocol.Maintained, now metav1.Time) {
	healthy := m.Healthy != nil && *m.Healthy
	repo.Status.LastCheckTime, repo.Status.Integrity = &now, &healthy
	c := condition(api.RepositoryIntegrityVerified, healthy, "SuccessfullyVerifiedRepositoryIntegrity", "restic check found no fault", repo.Generation)
	if !healthy {
		c.Reason, c.Message = "FailedToVerifyRepositoryIntegrity", "restic check found faults"
		if len(m.Faults) > 0 {
			c.Message += ": " + shorten(m.Faults[0])
		}
	}
	api.SetCondition(&repo.Status.Conditions, c, now)
}
