package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// conflicts is how often a status is read and written anew when others write it at the same time.
const conflicts = 20

// updateStatus reads an object from the API server, changes its status and writes it, again and
// again while others are faster. change reports whether there is anything to write. kind is not
// written to: each attempt reads into an object of its own, since decoding into one that was changed
// leaves in place what the answer does not mention.
func updateStatus[T client.Object](ctx context.Context, w *World, key client.ObjectKey, kind T, change func(T) (bool, error)) error {
	for i := range conflicts {
		obj, ok := reflect.TypeAssert[T](reflect.New(reflect.TypeOf(kind).Elem()))
		if !ok {
			return fmt.Errorf("make %T", kind)
		}
		if err := w.Live.Get(ctx, key, obj); err != nil {
			return err //nolint:wrapcheck // the caller tells absence from failure
		}
		write, err := change(obj)
		if err != nil || !write {
			return err
		}
		err = w.Status().Update(ctx, obj)
		if err == nil || !apierrors.IsConflict(err) {
			return err //nolint:wrapcheck // as above
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(i+1) * time.Duration(5+rand.IntN(10)) * time.Millisecond): //nolint:gosec // jitter
		}
	}
	return errors.New("write status: too many conflicts")
}

// change changes the assignment of a task, in whichever kind of session it is.
func (g *Agents) change(ctx context.Context, id broker.Identity, task string, fn func(*v1beta1.Assignment) bool) error {
	_, err := g.changed(ctx, id, task, fn)
	return err
}

// changed is change, and tells how many assignments the session has: so many agents write to it.
func (g *Agents) changed(ctx context.Context, id broker.Identity, task string, fn func(*v1beta1.Assignment) bool) (writers int, err error) {
	switch {
	case id.Role.BacksUp():
		key, err := g.sessionOf(ctx, id, task)
		if err != nil || key == nil {
			return 0, err
		}
		err = ignoreGone(updateStatus(ctx, g.World, *key, &v1beta1.BackupSession{}, func(bs *v1beta1.BackupSession) (bool, error) {
			a := findAssignment(bs, task)
			if a == nil || a.PodUID != id.PodUID || !fn(a) {
				return false, nil
			}
			writers = len(bs.Status.Targets[0].Assignments)
			bs.Status.Progress = progressText(bs.Status.Targets[0].Assignments)
			return true, nil
		}))
		return writers, err
	case id.Role.Restores():
		rs, err := g.restoreByHash(ctx, id.Namespace, id.Restore)
		if err != nil || rs == nil {
			return 0, err
		}
		err = ignoreGone(updateStatus(ctx, g.World, client.ObjectKeyFromObject(rs), &v1beta1.RestoreSession{}, func(rs *v1beta1.RestoreSession) (bool, error) {
			for i := range rs.Status.Assignments {
				if a := &rs.Status.Assignments[i]; a.ID == task && a.PodUID == id.PodUID && fn(a) {
					writers = len(rs.Status.Assignments)
					rs.Status.Progress = progressText(rs.Status.Assignments)
					return true, nil
				}
			}
			return false, nil
		}))
		return writers, err
	}
	return 0, nil
}

// Accepted implements broker.Results.
func (g *Agents) Accepted(ctx context.Context, id broker.Identity, task string) error {
	now := metav1.NewTime(g.Now())
	return g.change(ctx, id, task, func(a *v1beta1.Assignment) bool {
		a.Acknowledged, a.LastSeen, a.HeldReason = &now, &now, ""
		a.Starts++ // said once for each start: a stream that is opened again does not repeat it
		return true
	})
}

// exhausted marks an assignment as lost whose agent began the work too often to get it again.
func (g *Agents) exhausted(ctx context.Context, id broker.Identity, task string) error {
	now := metav1.NewTime(g.Now())
	return g.change(ctx, id, task, func(a *v1beta1.Assignment) bool {
		if a.Lost != nil || !g.Limits.Exhausted(*a) {
			return false
		}
		a.Lost, a.Searched = &now, false
		return true
	})
}

// back notes that the agent of a lost backup is connected again, without its work.
func (g *Agents) back(ctx context.Context, id broker.Identity, lost v1beta1.Assignment) error {
	now := metav1.NewTime(g.Now().Truncate(time.Second))
	if !session.Back(&lost, now) {
		return nil
	}
	return g.change(ctx, id, lost.ID, func(a *v1beta1.Assignment) bool { return session.Back(a, now) })
}

// Alive implements broker.Results.
func (g *Agents) Alive(ctx context.Context, id broker.Identity, tasks []string) error {
	now := metav1.NewTime(g.Now())
	errs := make([]error, 0, len(tasks))
	for _, t := range tasks {
		errs = append(errs, g.change(ctx, id, t, func(a *v1beta1.Assignment) bool {
			revive(a, id.Role, now)
			return true
		}))
	}
	return errors.Join(errs...)
}

// revive notes that an agent works on an assignment. A backup was given up too early, and nothing was
// decided since; if it is lost again, it is searched for again. One that was told to stop stays given
// up, and so does a restore: another pod may be writing to its volumes.
func revive(a *v1beta1.Assignment, role protocol.Role, now metav1.Time) {
	if a.Acknowledged == nil {
		a.Acknowledged = &now
	}
	a.LastSeen = &now
	if role.BacksUp() && !a.Cancelled {
		a.Lost, a.Searched = nil, false
	}
}

// Progress implements broker.Results. A report that comes too soon after the last is dropped.
func (g *Agents) Progress(ctx context.Context, id broker.Identity, p protocol.Progress) error {
	if !g.progress.due(p.ID, g.Now()) {
		return nil
	}
	now := metav1.NewTime(g.Now())
	writers, err := g.changed(ctx, id, p.ID, func(a *v1beta1.Assignment) bool {
		at := now
		if old := a.Progress; old != nil && old.BytesDone == p.BytesDone && old.FilesDone == p.FilesDone {
			at = old.Time // standing still shows in the time
		}
		if a.Acknowledged == nil {
			a.Acknowledged = &now
		}
		a.LastSeen = &now
		a.Progress = &v1beta1.Progress{
			Percent: int32(min(100, max(0, p.Percent))), BytesDone: p.BytesDone, TotalBytes: total(p.BytesDone, p.TotalBytes),
			FilesDone: p.FilesDone, TotalFiles: total(p.FilesDone, p.TotalFiles), SecondsLeft: p.SecondsLeft, Path: shorten(p.Path), Time: at,
		}
		return true
	})
	if err == nil {
		g.progress.share(p.ID, writers)
	}
	return err
}

// sessionOf finds the BackupSession of a task; nil where it was deleted: there is nobody to tell.
func (g *Agents) sessionOf(ctx context.Context, id broker.Identity, task string) (*client.ObjectKey, error) {
	list := &v1beta1.BackupSessionList{}
	if err := g.List(ctx, list, client.MatchingFields{indexUID: uidOf(task)}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list BackupSessions: %w", err)
	}
	for i := range list.Items {
		if knows(&list.Items[i], id) {
			key := client.ObjectKeyFromObject(&list.Items[i])
			return &key, nil
		}
	}
	return nil, nil //nolint:nilnil // as said
}

// knows tells whether a session is of the workload of a pod, or of the Job that was made for it: results
// of strangers are not taken.
func knows(bs *v1beta1.BackupSession, id broker.Identity) bool {
	for _, t := range bs.Status.Targets {
		if id.Role == protocol.RoleBackupJob {
			return id.Session == string(bs.UID) && target.Namespace(t.Ref, bs.Namespace) == id.Namespace
		}
		if t.Ref.Name == id.Owner.Name && t.Ref.Kind == id.Owner.Kind {
			ns := t.Ref.Namespace
			if ns == "" {
				ns = bs.Namespace
			}
			return ns == id.Namespace
		}
	}
	return false
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Result implements broker.Results. One that the API server refuses is not asked for again: it would
// be refused each time. Its host fails with the reason.
func (g *Agents) Result(ctx context.Context, id broker.Identity, r protocol.Result) error {
	defer g.progress.forget(r.ID)
	r = bounded(r, g.Now())
	err := g.result(ctx, id, r)
	if !refused(err) {
		return err
	}
	g.Log.Error("the API server refused a result; it is recorded as a failure", "pod", id.Namespace+"/"+id.Pod, "task", r.ID, "err", err)
	err = g.result(ctx, id, refusedResult(r, err))
	if refused(err) && id.Role != protocol.RoleWorker {
		g.Log.Error("the API server refused a failure, too; it is dropped", "pod", id.Namespace+"/"+id.Pod, "task", r.ID, "err", err)
		return nil
	}
	return err // work of a Repository whose status cannot be written must not begin anew
}

func (g *Agents) result(ctx context.Context, id broker.Identity, r protocol.Result) error {
	switch {
	case id.Role.BacksUp():
		return g.backupResult(ctx, id, r)
	case id.Role.Restores():
		return g.restoreResult(ctx, id, r)
	}
	return g.workResult(ctx, id, r)
}
