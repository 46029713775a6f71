package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	if w.Operation == v1alpha1.OperationFind && r.Error == "" && r.Maintained != nil {
		if err := g.found(ctx, w.Subject, r.Maintained.Snapshots); err != nil {
			return err
		}
	}
	if session.Exclusive(w.Operation) {
		if err := g.unclaim(ctx, repo, w.ID); err != nil {
			return err
		}
	}
	var told *v1alpha1.Repository
	err = updateStatus(ctx, g.World, client.ObjectKeyFromObject(repo), &v1alpha1.Repository{}, func(live *v1alpha1.Repository) (bool, error) {
		if live.Status.Work == nil || live.Status.Work.ID != r.ID {
			return false, nil
		}
		work := *live.Status.Work
		live.Status.Work = nil
		recordWork(live, work, r, metav1.NewTime(g.Now()))
		told = live
		return true, nil
	})
	if err == nil && told != nil && r.Error != "" {
		g.event(told, corev1.EventTypeWarning, string(w.Operation)+" Failed", shorten(r.Error))
	}
	if err == nil && told != nil && w.Operation == v1alpha1.OperationForget {
		g.noteRetention(ctx, *w, r)
	}
	return ignoreGone(err)
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
		st.LastProbeTime = &now
		st.ObservedGeneration = repo.Generation
	case v1alpha1.OperationForget, v1alpha1.OperationPrune, v1alpha1.OperationCheck, v1alpha1.OperationList,
		v1alpha1.OperationFind, v1alpha1.OperationUnlock:
	}
	if r.Error != "" {
		recordFailure(repo, w, r, now)
		return
	}
	st.Failures, st.NextAttempt, st.Locks = 0, nil, nil
	st.Phase = v1alpha1.RepositoryReady
	set := func(kind string, ok bool, reason, message string) {
		api.SetCondition(&st.Conditions, condition(kind, ok, reason, message, repo.Generation), now)
	}
	set(api.BackendReachable, true, "BackendAnswered", "the backend answered and the keys fit")
	m := r.Maintained
	if m == nil {
		m = &protocol.Maintained{}
	}
	switch w.Operation {
	case v1alpha1.OperationProbe:
		if m.Exists != nil && *m.Exists {
			set(api.BackendRepositoryInitialized, true, "BackendRepositoryFound", "the repository exists in the backend")
		} else {
			set(api.BackendRepositoryInitialized, false, "BackendRepositoryNotFound", "the backend holds no repository yet; it is made as soon as a BackupConfiguration uses it")
		}
	case v1alpha1.OperationInit:
		set(api.BackendRepositoryInitialized, true, "BackendRepositoryFound", "the repository was created in the backend")
	case v1alpha1.OperationForget:
		recordList(st, m, now)
		recordRetention(st, w, m, now)
		set(api.RetentionPolicyApplied, true, "SuccessfullyAppliedRetentionPolicy", fmt.Sprintf("%d snapshots were removed, %d kept against the policy", m.Removed, len(m.Protected)))
	case v1alpha1.OperationPrune:
		st.LastPruneTime = &now
		recordList(st, m, now)
	case v1alpha1.OperationList:
		recordList(st, m, now)
	case v1alpha1.OperationCheck:
		recordCheck(repo, m, now)
	case v1alpha1.OperationFind, v1alpha1.OperationUnlock:
	}
}

// recordFailure sets the condition that an operation is about and the time of the next attempt.
func recordFailure(repo *v1alpha1.Repository, w v1alpha1.RepositoryWork, r protocol.Result, now metav1.Time) {
	st := &repo.Status
	st.Failures++
	backoff := min(time.Hour, time.Duration(1<<min(st.Failures, 10))*5*time.Second)
	next := metav1.NewTime(now.Add(backoff))
	st.NextAttempt = &next
	text := shorten(r.Error)
	set := func(kind, reason string) {
		api.SetCondition(&st.Conditions, condition(kind, false, reason, text, repo.Generation), now)
	}
	if r.Maintained != nil {
		st.Locks = nil
		for _, l := range r.Maintained.Locks {
			st.Locks = append(st.Locks, l.Hostname)
		}
	}
	switch r.Reason {
	case restic.ReasonUnreachable, restic.ReasonAccessDenied, restic.ReasonNoBucket, restic.ReasonWrongPassword:
		set(api.BackendReachable, string(r.Reason))
		st.Phase = v1alpha1.RepositoryNotReady
		return
	case restic.ReasonNoRepository:
		set(api.BackendRepositoryInitialized, "BackendRepositoryNotFound")
		st.Phase = v1alpha1.RepositoryNotReady
		return
	default:
	}
	switch w.Operation {
	case v1alpha1.OperationProbe:
		set(api.BackendReachable, "BackendNotUsable")
		st.Phase = v1alpha1.RepositoryNotReady
	case v1alpha1.OperationInit:
		set(api.BackendRepositoryInitialized, "FailedToInitializeBackendRepository")
		st.Phase = v1alpha1.RepositoryNotReady
	case v1alpha1.OperationForget, v1alpha1.OperationPrune:
		set(api.RetentionPolicyApplied, "FailedToApplyRetentionPolicy")
	case v1alpha1.OperationCheck:
		set(api.RepositoryIntegrityVerified, "FailedToVerifyRepositoryIntegrity")
	case v1alpha1.OperationList, v1alpha1.OperationFind, v1alpha1.OperationUnlock:
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
			Paths: s.Paths, Tags: s.Tags, Size: size, Files: files,
		})
	}
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

// found stores what a search found in the session that asked for it.
func (g *Agents) found(ctx context.Context, subject string, snapshots []restic.Snapshot) error {
	kind, key, err := parseSubject(subject)
	if err != nil {
		return err
	}
	if kind == v1beta1.KindBackupSession {
		return g.adopt(ctx, key, snapshots)
	}
	return g.pinFound(ctx, key, snapshots)
}

// adopt takes the snapshots that lost agents left behind as their results, where all paths of the
// host are there.
func (g *Agents) adopt(ctx context.Context, key client.ObjectKey, snapshots []restic.Snapshot) error {
	return ignoreGone(updateStatus(ctx, g.World, key, &v1beta1.BackupSession{}, func(bs *v1beta1.BackupSession) (bool, error) {
		c := &v1beta1.BackupConfiguration{}
		if err := g.Get(ctx, client.ObjectKey{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}, c); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		if len(bs.Status.Targets) == 0 || session.Finished(bs.Status.Phase) || c.Spec.Target == nil {
			return false, nil
		}
		spec, _ := c.Spec.Shipped()
		lost := slices.Clone(bs.Status.Targets[0].Assignments)
		for _, a := range lost {
			if a.Lost == nil || a.Searched {
				continue
			}
			if stats, ok := adopted(a, spec.Target.Paths, snapshots, api.TagSession+string(bs.UID)); ok {
				session.RecordBackup(&bs.Status, stats)
			}
		}
		for i := range bs.Status.Targets[0].Assignments {
			if a := &bs.Status.Targets[0].Assignments[i]; a.Lost != nil {
				a.Searched = true
			}
		}
		return true, nil
	}))
}

// adopted makes a host's result of the snapshots that carry the session's tag.
func adopted(a v1beta1.Assignment, paths []string, snapshots []restic.Snapshot, tag string) (v1beta1.HostBackupStats, bool) {
	s := v1beta1.HostBackupStats{Hostname: a.Hostname, Phase: v1beta1.HostBackupSucceeded, Adopted: true, Pod: a.Pod}
	var took float64
	for _, p := range paths {
		i := slices.IndexFunc(snapshots, func(x restic.Snapshot) bool {
			return x.Hostname == a.Hostname && x.HasPath(p) && x.HasTag(tag)
		})
		if i < 0 {
			return s, false
		}
		b := protocol.PathBackup{Path: p, Summary: restic.BackupSummary{SnapshotID: snapshots[i].ID}}
		if m := snapshots[i].Summary; m != nil {
			b.Summary.FilesNew, b.Summary.FilesChanged, b.Summary.FilesUnmodified = m.FilesNew, m.FilesChanged, m.FilesUnmodified
			b.Summary.TotalFilesProcessed, b.Summary.TotalBytesProcessed = m.TotalFilesProcessed, m.TotalBytesProcessed
			b.Summary.DataAdded, b.Summary.DataAddedPacked = m.DataAdded, m.DataAddedPacked
			b.Summary.TotalDuration = m.BackupEnd.Sub(m.BackupStart).Seconds()
			took += b.Summary.TotalDuration
		}
		s.Snapshots = append(s.Snapshots, snapshotStats(b))
	}
	s.Duration = (time.Duration(took * float64(time.Second))).Round(time.Millisecond).String()
	return s, len(paths) > 0
}

// pinFound fixes the snapshots of a restore in its status, or the reason why it cannot be done.
func (g *Agents) pinFound(ctx context.Context, key client.ObjectKey, snapshots []restic.Snapshot) error {
	found := make([]session.Found, 0, len(snapshots))
	for _, s := range snapshots {
		found = append(found, session.Found{ID: s.ID, Host: s.Hostname, Paths: s.Paths, Time: s.Time})
	}
	return ignoreGone(updateStatus(ctx, g.World, key, &v1beta1.RestoreSession{}, func(rs *v1beta1.RestoreSession) (bool, error) {
		if api.FindCondition(rs.Status.Conditions, api.SnapshotsPinned) != nil || session.RestoreFinished(rs.Status.Phase) {
			return false, nil
		}
		spec, _ := rs.Spec.Shipped()
		hosts, err := g.restoreHosts(ctx, rs)
		if err != nil {
			return false, err
		}
		now := metav1.NewTime(g.Now())
		pins, err := session.Pin(spec.Target.Rules, hosts, found)
		c := condition(api.SnapshotsPinned, err == nil, "SnapshotsChosen", fmt.Sprintf("%d snapshots are chosen for %d hosts", len(pins), len(hosts)), rs.Generation)
		if err != nil {
			c.Reason, c.Message = "SnapshotNotFound", shorten(err.Error())
		}
		rs.Status.Pinned = pins
		api.SetCondition(&rs.Status.Conditions, c, now)
		return true, nil
	}))
}

// noteRetention says in the session that its retention policy was applied.
func (g *Agents) noteRetention(ctx context.Context, w v1alpha1.RepositoryWork, r protocol.Result) {
	_, key, err := parseSubject(w.Subject)
	if err != nil {
		return
	}
	list, err := g.SessionsOf(ctx, key.Namespace, key.Name)
	if err != nil {
		return
	}
	for i := range list {
		if string(list[i].UID) != w.SubjectUID {
			continue
		}
		err := updateStatus(ctx, g.World, client.ObjectKeyFromObject(&list[i]), &v1beta1.BackupSession{}, func(bs *v1beta1.BackupSession) (bool, error) {
			c := condition(api.RetentionPolicyApplied, r.Error == "", "SuccessfullyAppliedRetentionPolicy", "the retention policy was applied", bs.Generation)
			if r.Error != "" {
				c.Reason, c.Message = "FailedToApplyRetentionPolicy", shorten(r.Error)
			} else if r.Maintained != nil {
				c.Message = fmt.Sprintf("the retention policy was applied: %d snapshots removed", r.Maintained.Removed)
			}
			return api.SetCondition(&bs.Status.Conditions, c, metav1.NewTime(g.Now())), nil
		})
		if ignoreGone(err) != nil {
			g.Log.Warn("session was not told of its retention", "session", list[i].Namespace+"/"+list[i].Name, "err", err)
		}
	}
}
