package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// found stores what a search found in the session that asked for it: snapshots, and what they lack.
func (g *Agents) found(ctx context.Context, subject string, m *protocol.Maintained) error {
	kind, key, err := parseSubject(subject)
	if err != nil {
		return err
	}
	if kind == v1beta1.KindBackupSession {
		return g.adopt(ctx, key, m.Snapshots)
	}
	return g.pinFound(ctx, key, foundOf(m))
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
			if stats, ok := adopted(a, spec.Target.Paths, inTime(readable(snapshots, c.Status.Hosts), bs.Status.SessionDeadline), api.TagSession+string(bs.UID)); ok {
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

// readable leaves out the empty snapshots of paths that had files: one of which nothing could be read is empty,
// and its agent failed.
func readable(snapshots []restic.Snapshot, hosts []v1beta1.HostResult) []restic.Snapshot {
	return slices.DeleteFunc(slices.Clone(snapshots), func(s restic.Snapshot) bool {
		return s.Empty() && slices.ContainsFunc(s.Paths, func(p string) bool { return session.HadFiles(hosts, s.Hostname, p) })
	})
}

// inTime leaves out the snapshots that were not complete before the deadline, which is nil where there
// is none. restic before 0.17 says only when it began.
func inTime(snapshots []restic.Snapshot, deadline *metav1.Time) []restic.Snapshot {
	if deadline == nil {
		return snapshots
	}
	return slices.DeleteFunc(slices.Clone(snapshots), func(s restic.Snapshot) bool {
		end := s.Time
		if s.Summary != nil && s.Summary.BackupEnd.After(end) {
			end = s.Summary.BackupEnd
		}
		return end.After(deadline.Time)
	})
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
	s.Duration = time.Duration(took * float64(time.Second)).Round(time.Millisecond).String()
	return s, len(paths) > 0
}

// foundOf joins what a worker found with what it found missing.
func foundOf(m *protocol.Maintained) []session.Found {
	found := make([]session.Found, 0, len(m.Snapshots))
	for _, s := range m.Snapshots {
		f := session.Found{
			ID: s.ID, Host: s.Hostname, Paths: s.Paths, Time: s.Time, Empty: s.Empty(), Session: sessionTag(s),
			Partial: !m.Looked || len(s.Excludes) > 0 || s.HasTag(api.TagPartial),
		}
		for _, l := range m.Lacks {
			if l.ID == s.ID {
				f.Lacks = append(f.Lacks, session.Lack{Path: l.Path, Rule: l.Rule, Why: l.Why})
			}
		}
		found = append(found, f)
	}
	return found
}

// sessionTag is the UID of the session that a snapshot was taken in, empty where it is not ours.
func sessionTag(s restic.Snapshot) string {
	for _, tag := range s.Tags {
		if uid, ok := strings.CutPrefix(tag, api.TagSession); ok {
			return uid
		}
	}
	return ""
}

// pinFound fixes the snapshots of a restore in its status, or the reason why it cannot be done.
func (g *Agents) pinFound(ctx context.Context, key client.ObjectKey, found []session.Found) error {
	var told *v1beta1.RestoreSession
	var failed []v1beta1.HostRestoreStats
	err := updateStatus(ctx, g.World, key, &v1beta1.RestoreSession{}, func(rs *v1beta1.RestoreSession) (bool, error) {
		if told, failed = rs, nil; !session.Searching(rs.Status) {
			return false, nil
		}
		now := metav1.NewTime(g.Now())
		hosts, wish, err := g.restoreHosts(ctx, rs)
		if errors.Is(err, errTargetGone) {
			session.SearchFailed(&rs.Status, "TargetNotFound", err.Error(), rs.Generation, now)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if wish.Own, err = g.backedUp(ctx, rs); err != nil {
			return false, err
		}
		failed = session.Choose(&rs.Status, wish, hosts, found, rs.Generation, now)
		return true, nil
	})
	if err == nil {
		for _, s := range failed {
			g.event(told, corev1.EventTypeWarning, "Host Restore Failed", s.Hostname+": "+s.Error)
		}
	}
	return ignoreGone(err)
}

// backedUp are the paths that configurations back up by themselves where a restore takes its data from, by
// host. Of one that has no result yet, only its paths are known.
func (g *Agents) backedUp(ctx context.Context, rs *v1beta1.RestoreSession) (map[string][]string, error) {
	repo, err := g.Repository(ctx, rs.Spec.Repository, rs.Namespace)
	if err != nil || repo == nil {
		return nil, err
	}
	there, err := g.repositoriesAt(ctx, location(repo))
	if err != nil {
		return nil, err
	}
	own := map[string][]string{}
	for i := range there {
		users, err := g.UsersOf(ctx, &there[i])
		if err != nil {
			return nil, err
		}
		for _, c := range users {
			if t := c.Spec.Target; t != nil && len(c.Status.Hosts) == 0 {
				own[""] = append(own[""], t.Paths...)
			}
			for _, h := range c.Status.Hosts {
				for _, s := range h.Snapshots {
					own[h.Hostname] = append(own[h.Hostname], s.Path)
				}
			}
		}
	}
	return own, nil
}

// notFound says in a restore why the search for its snapshots did not end. A backup's search has a
// limit of its own.
func (w *World) notFound(ctx context.Context, subject string, reason restic.Reason, message string) error {
	kind, key, err := parseSubject(subject)
	if err != nil || kind != v1beta1.KindRestoreSession {
		return err
	}
	return ignoreGone(updateStatus(ctx, w, key, &v1beta1.RestoreSession{}, func(rs *v1beta1.RestoreSession) (bool, error) {
		if !session.Searching(rs.Status) {
			return false, nil
		}
		session.SearchFailed(&rs.Status, string(reason), message, rs.Generation, metav1.NewTime(w.Now()))
		return true, nil
	}))
}

// noteRetention says in the session that its retention policy was applied.
func (g *Agents) noteRetention(ctx context.Context, w v1alpha1.RepositoryWork, r protocol.Result, left string) {
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
				c.Message = retentionText(r.Maintained) + left
			}
			return api.SetCondition(&bs.Status.Conditions, c, metav1.NewTime(g.Now())), nil
		})
		if ignoreGone(err) != nil {
			g.Log.Warn("session was not told of its retention", "session", list[i].Namespace+"/"+list[i].Name, "err", err)
		}
	}
}
