package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/session"
)

// restoreResult stores what an init-container restored, and into which volumes: neither the pod nor
// its claims are ever restored again by this session.
func (g *Agents) restoreResult(ctx context.Context, id broker.Identity, r protocol.Result) error {
	rs, err := g.restoreByHash(ctx, id.Namespace, id.Restore)
	if err != nil || rs == nil || string(rs.UID) != uidOf(r.ID) {
		return err
	}
	claims, err := g.volumeIDs(ctx, id.Namespace, id.Places)
	if err != nil {
		return err
	}
	stats := v1beta1.HostRestoreStats{
		Hostname: hostOf(r.ID), Phase: v1beta1.HostRestoreSucceeded, Duration: r.Duration.Round(time.Millisecond).String(),
	}
	written := &v1beta1.RestoredHost{Hostname: stats.Hostname, Pod: id.Pod, PodUID: id.PodUID, Claims: claims, Time: metav1.NewTime(g.Now())}
	if r.Restored != nil {
		stats.Files, stats.Bytes = r.Restored.Files, r.Restored.Bytes
	}
	if r.Error != "" {
		stats.Phase, stats.Error, written = v1beta1.HostRestoreFailed, shorten(r.Error), nil
	}
	var told *v1beta1.RestoreSession
	err = updateStatus(ctx, g.World, client.ObjectKeyFromObject(rs), &v1beta1.RestoreSession{}, func(rs *v1beta1.RestoreSession) (bool, error) {
		// Of what the task's ID says nothing is believed: work is a pod's that has it.
		i := slices.IndexFunc(rs.Status.Assignments, func(a v1beta1.Assignment) bool { return a.PodUID == id.PodUID && a.Hostname == stats.Hostname })
		if session.RestoreFinished(rs.Status.Phase) || i < 0 {
			return false, nil
		}
		a := rs.Status.Assignments[i]
		// What the pod has written it has written, in whichever attempt; where an earlier one failed the
		// present one goes on.
		if a.ID != r.ID && r.Error != "" {
			return false, nil
		}
		if stopped(rs.Status.Assignments, r, metav1.NewTime(g.Now())) {
			return true, nil
		}
		if a.Lost != nil && slices.ContainsFunc(rs.Status.Assignments, func(b v1beta1.Assignment) bool { return b.Hostname == a.Hostname && b.Lost == nil }) {
			// Another one restores the host now. The pod must not start meanwhile.
			return false, fmt.Errorf("host %q is being restored by another agent", a.Hostname)
		}
		session.RecordRestore(&rs.Status, id.PodUID, stats, written)
		rs.Status.Progress = progressText(rs.Status.Assignments)
		told = rs
		return true, nil
	})
	if err == nil && told != nil {
		if stats.Phase == v1beta1.HostRestoreSucceeded {
			g.event(told, corev1.EventTypeNormal, "Host Restore Succeeded", fmt.Sprintf("pod %s restored host %s in %s", id.Pod, stats.Hostname, stats.Duration))
		} else {
			g.event(told, corev1.EventTypeWarning, "Host Restore Failed", stats.Hostname+": "+stats.Error)
		}
	}
	return ignoreGone(err)
}
