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
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// maxErrorLength bounds an error in a status.
const maxErrorLength = 2000

// backupResult stores the result of a host. One that ended before the deadline counts however late
// it comes; then a session that was failed for the deadline is mended.
func (g *Agents) backupResult(ctx context.Context, id broker.Identity, r protocol.Result) error {
	key, err := g.sessionOf(ctx, id, r.ID)
	if err != nil || key == nil {
		return err
	}
	stats := hostStats(id, r)
	said := stats.Error
	var told, heard *v1beta1.BackupSession
	err = updateStatus(ctx, g.World, *key, &v1beta1.BackupSession{}, func(bs *v1beta1.BackupSession) (bool, error) {
		if ok, err := g.mayTell(ctx, bs, id, r.ID); err != nil || !ok {
			return false, err
		}
		heard = bs
		if len(bs.Status.Targets) > 0 && !session.Finished(bs.Status.Phase) && stopped(bs.Status.Targets[0].Assignments, r, metav1.NewTime(g.Now())) {
			return true, nil
		}
		if a := findAssignment(bs, r.ID); a != nil && r.Reason == protocol.ReasonDeadline {
			stats.Error = shorten(withHowFar(said, *a))
		}
		write, counts := recordResult(bs, stats, report{task: r.ID, finished: r.Finished, now: g.Now(), limits: g.Limits})
		if counts {
			told = bs
		}
		return write, nil
	})
	if err == nil && heard != nil && r.Error != "" {
		err = errors.Join(g.endedBackup(ctx, heard, id, r), g.doubt(ctx, heard, r))
	}
	if err == nil && told != nil {
		if stats.Phase == v1beta1.HostBackupSucceeded {
			g.event(told, corev1.EventTypeNormal, "Host Backup Succeeded", fmt.Sprintf("host %s was backed up in %s by pod %s", stats.Hostname, stats.Duration, id.Pod))
		} else {
			g.event(told, corev1.EventTypeWarning, "Host Backup Failed", stats.Hostname+": "+stats.Error)
		}
	}
	return ignoreGone(err)
}

// report is what is known of a result beside what it says of its host.
type report struct {
	task          string
	finished, now time.Time
	limits        session.Limits
}

// recordResult writes the result of a host into its session: write tells whether the status changed,
// counts whether the result was news.
func recordResult(bs *v1beta1.BackupSession, stats v1beta1.HostBackupStats, r report) (write, counts bool) {
	st := &bs.Status
	over := session.Finished(st.Phase)
	if over && (st.Phase != v1beta1.BackupSessionFailed || stats.Phase != v1beta1.HostBackupSucceeded) {
		return false, false
	}
	if d := st.SessionDeadline; d != nil && r.finished.After(d.Time) && (over || hasFailed(st, stats.Hostname)) {
		return false, false
	}
	failed := stats.Phase == v1beta1.HostBackupFailed
	if !over && failed && len(st.Targets) > 0 && session.Outdated(&st.Targets[0], r.task, stats.Hostname, r.limits, metav1.NewTime(r.now)) {
		return true, false
	}
	if !session.RecordBackup(st, stats) {
		return !over, false // the assignment is taken away all the same
	}
	st.Progress = progressText(st.Targets[0].Assignments)
	if over {
		mend(bs, r.now)
	}
	return true, true
}

// mayTell tells whether a result is a pod's own: of the work that it has, or of work that was taken
// from it and that nobody but it can have had. The task's ID alone proves nothing, since it can be
// guessed.
func (g *Agents) mayTell(ctx context.Context, bs *v1beta1.BackupSession, id broker.Identity, task string) (bool, error) {
	if len(bs.Status.Targets) == 0 {
		return false, nil
	}
	if a := findAssignment(bs, task); a != nil {
		return a.PodUID == id.PodUID, nil
	}
	c := &v1beta1.BackupConfiguration{}
	if err := g.Get(ctx, client.ObjectKey{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}, c); err != nil {
		return false, client.IgnoreNotFound(err) //nolint:wrapcheck // it names the object
	}
	spec, _ := c.Spec.Shipped()
	if id.Role == protocol.RoleBackupJob {
		return knows(bs, id) && hasHost(bs.Status.Targets[0], hostOf(task)), nil
	}
	kind, err := target.Find(id.Owner.APIVersion, id.Owner.Kind)
	if err != nil || spec.Target == nil {
		return false, nil //nolint:nilerr // a pod of no workload has no host
	}
	host, err := kind.HostFor(spec.Target.Alias, id.Pod, id.Node)
	return err == nil && host == hostOf(task) && hasHost(bs.Status.Targets[0], host), nil
}

// hasHost tells whether a host is one of a session.
func hasHost(t v1beta1.BackupTargetStatus, host string) bool {
	return slices.ContainsFunc(t.Stats, func(s v1beta1.HostBackupStats) bool { return s.Hostname == host }) ||
		slices.ContainsFunc(t.Assignments, func(a v1beta1.Assignment) bool { return a.Hostname == host }) ||
		slices.ContainsFunc(t.Released, func(r v1beta1.ReleasedHost) bool { return r.Hostname == host })
}

// hasFailed tells whether a host was given up.
func hasFailed(st *v1beta1.BackupSessionStatus, host string) bool {
	return len(st.Targets) > 0 && slices.ContainsFunc(st.Targets[0].Stats, func(s v1beta1.HostBackupStats) bool {
		return s.Hostname == host && s.Phase == v1beta1.HostBackupFailed
	})
}

// withHowFar adds to the error of work that was stopped at its deadline how far it had come: whether it waited,
// or was slow, says what to change.
func withHowFar(text string, a v1beta1.Assignment) string {
	if far := session.HowFar(a); far != "" {
		return text + ": " + far
	}
	return text
}

// mend gives a session that was failed too early the outcome of its results.
func mend(bs *v1beta1.BackupSession, now time.Time) {
	phase, reason := session.Outcome(bs.Status.Targets[0])
	if phase != v1beta1.BackupSessionSucceeded {
		return
	}
	api.RemoveCondition(&bs.Status.Conditions, api.DeadlineExceeded)
	bs.Status.CompletionTime = nil
	sayComplete(bs, metav1.NewTime(now))
	session.Finish(&bs.Status, phase, reason, bs.CreationTimestamp, metav1.NewTime(now))
}

// hostOf returns the host in an assignment's ID, <uid>/<host>/….
func hostOf(task string) string {
	parts := strings.Split(task, "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

func hostStats(id broker.Identity, r protocol.Result) v1beta1.HostBackupStats {
	s := v1beta1.HostBackupStats{Hostname: hostOf(r.ID), Phase: v1beta1.HostBackupSucceeded, Duration: r.Duration.Round(time.Millisecond).String(), Pod: id.Pod}
	for _, b := range r.Backups {
		s.Snapshots = append(s.Snapshots, snapshotStats(b))
		if b.UnreadableCount > 0 {
			s.Incomplete += int64(b.UnreadableCount)
			s.Error = joined(s.Error, fmt.Sprintf("%s: %d files could not be read: %s", b.Path, b.UnreadableCount, strings.Join(b.Unreadable, ", ")))
		}
	}
	if r.Error != "" {
		s.Phase = v1beta1.HostBackupFailed
		s.Error = joined(r.Error, s.Error)
	}
	s.Error = shorten(s.Error)
	return s
}

func snapshotStats(b protocol.PathBackup) v1beta1.SnapshotStats {
	sum := b.Summary
	total, fresh, changed, same := sum.TotalFilesProcessed, sum.FilesNew, sum.FilesChanged, sum.FilesUnmodified
	return v1beta1.SnapshotStats{
		Name: short(sum.SnapshotID), ID: sum.SnapshotID, Path: b.Path,
		TotalSize: formatBytes(sum.TotalBytesProcessed), TotalBytes: sum.TotalBytesProcessed,
		Uploaded: formatBytes(sum.DataAddedPacked), UploadedBytes: sum.DataAddedPacked,
		ProcessingTime: formatMinutes(sum.TotalDuration),
		FileStats:      v1beta1.FileStats{TotalFiles: &total, NewFiles: &fresh, ModifiedFiles: &changed, UnmodifiedFiles: &same},
	}
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func shorten(s string) string {
	if len(s) <= maxErrorLength {
		return s
	}
	return strings.ToValidUTF8(s[:maxErrorLength], "") + "…"
}

func short(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}
