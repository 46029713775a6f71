package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/session"
)

// A location belongs to agents or to exclusive work, never to both. Each side first writes what it is
// about to do, an assignment or a claim, and then asks the API server, not the cache, what the other has
// written: of two that begin at once, at least one sees the other. Exclusive work gives way; the agent's
// task is handed out when it has ended.

// occupied tells that a task is not handed out yet: exclusive work is done at the location.
type occupied struct{ by string }

func (o *occupied) Error() string { return "waiting for " + o.by }

// unoccupied returns an *occupied error where exclusive work holds a Repository's location. It is asked
// after the assignment was read from the API server.
func (w *World) unoccupied(ctx context.Context, repo *v1alpha1.Repository) error {
	by, err := w.exclusiveWork(ctx, repo)
	if err == nil && by != "" {
		return &occupied{by}
	}
	return err
}

// heldEvery is how often it is noted that work is held back. It is below the time that an agent has to
// take its work, which counts from then.
const heldEvery = 20 * time.Second

// holdBack notes that the work of an assignment is kept from its agent, which is connected and waits, and
// why.
func (g *Agents) holdBack(ctx context.Context, id broker.Identity, a v1beta1.Assignment, why string) error {
	now, why := metav1.NewTime(g.Now()), shorten(why)
	if a.Held != nil && now.Sub(a.Held.Time) < heldEvery && a.HeldReason == why {
		return nil
	}
	return g.change(ctx, id, a.ID, func(a *v1beta1.Assignment) bool {
		a.Held, a.HeldReason = &now, why
		return true
	})
}

// pageSize bounds the memory of a look at all sessions.
const pageSize = 500

// anyPage lists objects from the API server, page by page as of the first, until one fits. Each page is
// read into a list of its own.
func anyPage[T client.ObjectList](ctx context.Context, w *World, empty func() T, fits func(T) bool, opts ...client.ListOption) (bool, error) {
	next := ""
	for {
		list := empty()
		if err := w.Live.List(ctx, list, append([]client.ListOption{client.Limit(pageSize), client.Continue(next)}, opts...)...); err != nil {
			return false, fmt.Errorf("list %T: %w", list, err)
		}
		if fits(list) {
			return true, nil
		}
		if next = list.GetContinue(); next == "" {
			return false, nil
		}
	}
}

// agentsAt tells, from the API server, whether agents work at a Repository's location or are about to.
func (r *Repositories) agentsAt(ctx context.Context, repo *v1alpha1.Repository) (bool, error) {
	all, err := r.repositoriesAt(ctx, location(repo))
	if err != nil {
		return false, err
	}
	users, here := map[string]map[string]bool{}, map[client.ObjectKey]bool{}
	for i := range all {
		here[client.ObjectKeyFromObject(&all[i])] = true
		configs, err := r.UsersOf(ctx, &all[i])
		if err != nil {
			return false, err
		}
		for _, c := range configs {
			if users[c.Namespace] == nil {
				users[c.Namespace] = map[string]bool{}
			}
			users[c.Namespace][c.Name] = true
		}
	}
	for namespace, names := range users {
		if busy, err := r.backupsOf(ctx, namespace, names); busy || err != nil {
			return busy, err
		}
	}
	return r.restoresFrom(ctx, here)
}

func (r *Repositories) backupsOf(ctx context.Context, namespace string, configurations map[string]bool) (bool, error) {
	return anyPage(ctx, r.World, func() *v1beta1.BackupSessionList { return &v1beta1.BackupSessionList{} }, func(list *v1beta1.BackupSessionList) bool {
		return slices.ContainsFunc(list.Items, func(bs v1beta1.BackupSession) bool {
			return configurations[bs.Spec.InvokerRef().Name] && working(&bs)
		})
	}, client.InNamespace(namespace))
}

func (r *Repositories) restoresFrom(ctx context.Context, repositories map[client.ObjectKey]bool) (bool, error) {
	return anyPage(ctx, r.World, func() *v1beta1.RestoreSessionList { return &v1beta1.RestoreSessionList{} }, func(list *v1beta1.RestoreSessionList) bool {
		return slices.ContainsFunc(list.Items, func(rs v1beta1.RestoreSession) bool {
			return repositories[repositoryKeys(rs.Spec.Repository, rs.Namespace)[0]] && restoringNow(&rs)
		})
	})
}

// working tells whether agents of a backup work, or are about to.
func working(bs *v1beta1.BackupSession) bool {
	return !session.Finished(bs.Status.Phase) && len(bs.Status.Targets) > 0 && anyAlive(bs.Status.Targets[0].Assignments)
}

// restoringNow is the same for a restore, from the choice of its snapshots on.
func restoringNow(rs *v1beta1.RestoreSession) bool {
	return !session.RestoreFinished(rs.Status.Phase) && api.IsTrue(rs.Status.Conditions, api.SnapshotsPinned)
}
