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
	at := metav1.NewTime(g.Now())
	written := v1beta1.RestoredHost{Hostname: hostOf(r.ID), Pod: id.Pod, PodUID: id.PodUID, Claims: claims, Time: at}
	var told *v1beta1.RestoreSession
	err = updateStatus(ctx, g.World, client.ObjectKeyFromObject(rs), &v1beta1.RestoreSession{}, func(rs *v1beta1.RestoreSession) (bool, error) {
		write, news, err := recordRestored(rs, r, written, at)
		told = nil
		if news {
			told = rs
		}
		return write, err
	})
	if err == nil && r.Error != "" {
		err = g.ended(ctx, rs.Spec.Repository, rs.Namespace, id, r)
	}
	if err == nil && told != nil {
		if r.Error == "" {
			g.event(told, corev1.EventTypeNormal, "Host Restore Succeeded", fmt.Sprintf("pod %s restored host %s in %s", id.Pod, written.Hostname, r.Duration.Round(time.Millisecond)))
		} else {
			g.event(told, corev1.EventTypeWarning, "Host Restore Failed", written.Hostname+": "+shorten(r.Error))
		}
	}
	return ignoreGone(err)
}

// recordRestored writes what a pod says of its host into the session: write tells whether the status
// changed, news whether the host has a result. An error means that it is to be said again later.
func recordRestored(rs *v1beta1.RestoreSession, r protocol.Result, pod v1beta1.RestoredHost, now metav1.Time) (write, news bool, err error) {
	list := rs.Status.Assignments
	// Of what the task's ID says nothing is believed: work is a pod's that has it.
	i := slices.IndexFunc(list, func(a v1beta1.Assignment) bool { return a.PodUID == pod.PodUID && a.Hostname == pod.Hostname })
	if session.RestoreFinished(rs.Status.Phase) || i < 0 {
		return false, false, nil
	}
	a := list[i]
	// What the pod has written it has written, in whichever attempt; where an earlier one failed the
	// present one goes on.
	if a.ID != r.ID && r.Error != "" {
		return false, false, nil
	}
	if stopped(list, r, now) {
		return true, false, nil
	}
	if a.Lost != nil && slices.ContainsFunc(list, func(b v1beta1.Assignment) bool { return b.Hostname == a.Hostname && b.Lost == nil }) {
		// Another one restores the host now. The pod must not start meanwhile.
		return false, false, fmt.Errorf("host %q is being restored by another agent", a.Hostname)
	}
	stats := v1beta1.HostRestoreStats{Hostname: pod.Hostname, Phase: v1beta1.HostRestoreSucceeded, Duration: r.Duration.Round(time.Millisecond).String()}
	if r.Restored != nil {
		stats.Files, stats.Bytes = r.Restored.Files, r.Restored.Bytes
	}
	written := &pod
	if r.Error != "" {
		stats.Phase, stats.Error, written = v1beta1.HostRestoreFailed, shorten(restoreError(rs, a, r, now)), nil
	}
	session.RecordRestore(&rs.Status, pod.PodUID, stats, written)
	rs.Status.Progress = progressText(rs.Status.Assignments)
	return true, true, nil
}

// restoreError is why a host was not restored. That it was stopped, only we know the reason of.
func restoreError(rs *v1beta1.RestoreSession, a v1beta1.Assignment, r protocol.Result, now metav1.Time) string {
	if r.Reason == protocol.ReasonDeadline {
		return withHowFar(r.Error, a)
	}
	if end := rs.Status.SessionDeadline; !a.Cancelled || r.Reason != protocol.ReasonCanceled || end != nil && !now.Before(end) {
		return r.Error
	}
	return session.WhyStopped(a) + ": " + r.Error
}
