package controller

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// ended records that restic has failed in a pod and is not running any more: a lock that it could
// not remove, since the backend was away, is known dead though the pod lives, and is looked for. Nothing
// is recorded while the pod has other work, whose locks are alive.
func (g *Agents) ended(ctx context.Context, ref v1beta1.KindRepositoryRef, namespace string, id broker.Identity, r protocol.Result) error {
	list := &v1beta1.BackupSessionList{}
	if err := g.List(ctx, list, client.MatchingFields{indexPod: id.PodUID}); err != nil {
		return fmt.Errorf("list BackupSessions: %w", err)
	}
	for i := range list.Items {
		for _, t := range list.Items[i].Status.Targets {
			if slices.ContainsFunc(t.Assignments, func(a v1beta1.Assignment) bool { return a.PodUID == id.PodUID && a.ID != r.ID }) {
				return nil
			}
		}
	}
	repo, err := g.Repository(ctx, ref, namespace)
	if err != nil || repo == nil {
		return err
	}
	at := metav1.NewTime(r.Finished)
	return ignoreGone(updateStatus(ctx, g.World, client.ObjectKeyFromObject(repo), &v1alpha1.Repository{}, func(live *v1alpha1.Repository) (bool, error) {
		i := slices.IndexFunc(live.Status.Holders, func(h v1alpha1.Holder) bool { return h.UID == id.PodUID })
		if i < 0 {
			return false, nil
		}
		live.Status.Holders[i].Ended = &at
		if len(live.Status.Locks) == 0 && mayLeaveLock(r.Reason) {
			live.Status.Locks = []string{session.UnknownLock}
		}
		return true, nil
	}))
}

// mayLeaveLock tells whether a run that failed for a reason may have left its lock: it had one, and
// could not remove it.
func mayLeaveLock(r restic.Reason) bool {
	switch r {
	case restic.ReasonDeadline, restic.ReasonCanceled, restic.ReasonUnreachable, restic.ReasonOther:
		return true
	default:
		return false
	}
}

// endedBackup is ended for a backup's agent.
func (g *Agents) endedBackup(ctx context.Context, bs *v1beta1.BackupSession, id broker.Identity, r protocol.Result) error {
	config := &v1beta1.BackupConfiguration{}
	if err := g.Get(ctx, client.ObjectKey{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}, config); err != nil {
		return client.IgnoreNotFound(err) //nolint:wrapcheck // nobody is told of a configuration that is gone
	}
	return g.ended(ctx, config.Spec.Repository, config.Namespace, id, r)
}

// holds records that a pod is given credentials for a Repository, before it is: a lock that it
// leaves behind can then be told from a foreign one.
func (w *World) holds(ctx context.Context, repo *v1alpha1.Repository, id broker.Identity) error {
	for range 5 {
		live := &v1alpha1.Repository{}
		if err := w.Live.Get(ctx, client.ObjectKeyFromObject(repo), live); err != nil {
			return fmt.Errorf("read Repository: %w", err)
		}
		if !addHolder(&live.Status, id, metav1.NewTime(w.Now())) {
			return nil
		}
		if err := w.forgetHolders(ctx, live); err != nil {
			return err
		}
		err := w.Status().Update(ctx, live)
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("write Repository: %w", err)
		}
	}
	return fmt.Errorf("write Repository \"%s/%s\": too many conflicts", repo.Namespace, repo.Name)
}

// addHolder adds a pod to those that were given credentials, and tells whether that changed anything. A
// pod that an older build recorded lives on, and is known by its name only.
func addHolder(st *v1alpha1.RepositoryStatus, id broker.Identity, now metav1.Time) bool {
	h := v1alpha1.Holder{Namespace: id.Namespace, Pod: id.Pod, UID: id.PodUID, Hostname: id.Hostname, Since: &now}
	if h.Hostname == h.Pod {
		// Of all controllers, only that of StatefulSets gives pods names that others have, too.
		h.Hostname, h.Unique = "", id.Owner.Kind != "StatefulSet"
	}
	i := slices.IndexFunc(st.Holders, func(h v1alpha1.Holder) bool { return h.UID == id.PodUID })
	switch {
	case i < 0:
		st.Holders = append(st.Holders, h)
	case id.Hostname != "" && st.Holders[i].Hostname != h.Hostname:
		st.Holders[i].Hostname, st.Holders[i].Unique = h.Hostname, h.Unique
	default:
		return false
	}
	return true
}
