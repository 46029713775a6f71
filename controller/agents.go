package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// Agents tells agents their work and takes their results, on every replica. What is to be done
// stands in status; before credentials leave, it is read from the API server once more.
type Agents struct {
	*World
	progress progressTimes
	missed   missedSessions
}

// NewAgents returns the broker's source of work and sink of results.
func NewAgents(w *World) *Agents { return &Agents{World: w} }

// Orders implements broker.Work.
func (g *Agents) Orders(ctx context.Context, id broker.Identity, has func(string) bool) (broker.Orders, error) {
	switch id.Role {
	case protocol.RoleSidecar:
		return g.backupOrders(ctx, id, has)
	case protocol.RoleInit, protocol.RoleRestoreJob:
		return g.restoreOrders(ctx, id, has)
	case protocol.RoleBackupJob:
		return g.backupJobOrders(ctx, id, has)
	case protocol.RoleWorker:
		return g.workerOrders(ctx, id, has)
	}
	return broker.Orders{Refuse: fmt.Sprintf("role %q is not known", id.Role)}, nil
}

func (g *Agents) backupOrders(ctx context.Context, id broker.Identity, has func(string) bool) (broker.Orders, error) {
	list := &v1beta1.BackupSessionList{}
	// Read only: a copy for each agent that is told something would be one of all agents' work.
	if err := g.List(ctx, list, client.MatchingFields{indexPod: id.PodUID}, client.UnsafeDisableDeepCopy); err != nil {
		return broker.Orders{}, fmt.Errorf("list BackupSessions: %w", err)
	}
	var out broker.Orders
	for i := range list.Items {
		if len(list.Items[i].Status.Targets) == 0 {
			continue
		}
		key := client.ObjectKeyFromObject(&list.Items[i])
		for _, a := range list.Items[i].Status.Targets[0].Assignments {
			if a.PodUID != id.PodUID {
				continue
			}
			// What keeps one session from its work must not keep others.
			if err := g.backupOrder(ctx, id, key, a, has(a.ID), &out); err != nil {
				g.Log.Warn("a backup could not be dealt with yet", "session", key.String(), "err", err)
			}
		}
	}
	return out, nil
}

// backupOrder adds what the agent of an assignment is to do, or notes what it shows about itself.
func (g *Agents) backupOrder(ctx context.Context, id broker.Identity, key client.ObjectKey, a v1beta1.Assignment, has bool, out *broker.Orders) error {
	switch {
	case a.Cancelled && has:
		out.Cancel = append(out.Cancel, a.ID)
		return nil
	case a.Cancelled, has:
		return nil
	case a.Lost != nil:
		return g.back(ctx, id, a)
	case g.Limits.Exhausted(a):
		return g.exhausted(ctx, id, a.ID)
	}
	return g.addBackup(ctx, id, key, a, out)
}

// addBackup adds the task of an assignment, or fails its host where a person must mend something.
func (g *Agents) addBackup(ctx context.Context, id broker.Identity, key client.ObjectKey, a v1beta1.Assignment, out *broker.Orders) error {
	task, err := g.backupTask(ctx, id, key, a.ID)
	if text, ok := asProblem(err); ok {
		now := g.Now()
		return g.backupResult(ctx, id, protocol.Result{ID: a.ID, Error: text, Started: now, Finished: now})
	}
	if o, ok := errors.AsType[*occupied](err); ok {
		out.Wait = o.Error()
		return g.holdBack(ctx, id, a, o.Error())
	}
	if err == nil && task != nil {
		out.Tasks = append(out.Tasks, *task)
	}
	return err
}

// backupTask makes the task of an assignment, if the API server still has it.
func (g *Agents) backupTask(ctx context.Context, id broker.Identity, key client.ObjectKey, assignment string) (*protocol.Task, error) {
	bs := &v1beta1.BackupSession{}
	if err := g.Live.Get(ctx, key, bs); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	a := findAssignment(bs, assignment)
	if a == nil || a.Lost != nil || session.Finished(bs.Status.Phase) {
		return nil, nil //nolint:nilnil // the cache was behind: there is no task any more
	}
	config := &v1beta1.BackupConfiguration{}
	if err := g.Get(ctx, client.ObjectKey{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}, config); err != nil {
		return nil, fmt.Errorf("read BackupConfiguration: %w", err)
	}
	spec, _ := config.Spec.Shipped()
	repo, err := g.Repository(ctx, spec.Repository, config.Namespace)
	if err != nil {
		return nil, err
	}
	if repo == nil {
		return nil, problemf("Repository %q does not exist", spec.Repository.Name)
	}
	if why, err := g.refusal(ctx, config, repo); err != nil || why != "" {
		return nil, problemOr(why, err)
	}
	if err := g.unoccupied(ctx, repo); err != nil {
		return nil, err
	}
	task, err := g.task(ctx, id, repo, assignment)
	if err != nil {
		return nil, err
	}
	task.Cache.Disabled, task.Nice, task.IONice = spec.TempDir.DisableCaching, niceOf(spec.RuntimeSettings), ioniceOf(spec.RuntimeSettings)
	if spec.TimeOut != nil {
		task.Deadline = bs.CreationTimestamp.Add(spec.TimeOut.Duration)
	}
	task.Backup = &protocol.Backup{
		Host: a.Hostname, Paths: spec.Target.Paths, Exclude: spec.Target.Exclude, Args: spec.Target.Args,
		Tags: []string{api.TagSession + string(bs.UID)},
	}
	if len(spec.Target.Exclude) > 0 || restic.LeavesOut(spec.Target.Args) {
		task.Backup.Tags = append(task.Backup.Tags, api.TagPartial)
	}
	return task, nil
}

// task makes a task with the credentials of a Repository, for a pod that may hold them. Its cache
// fits into the volume that the pod has, which may be of an older plan, or of another configuration.
func (g *Agents) task(ctx context.Context, id broker.Identity, repo *v1alpha1.Repository, taskID string) (*protocol.Task, error) {
	if why, err := g.repositoryRefusal(ctx, repo, id.Namespace); err != nil || why != "" {
		return nil, problemOr(why, err)
	}
	access, err := g.access(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := g.holds(ctx, repo, id); err != nil {
		return nil, err
	}
	return &protocol.Task{ID: taskID, Repository: access, Cache: protocol.Cache{LimitBytes: mutators.CacheLimit(id.TmpBytes)}}, nil
}

// restoreOrders tells an init-container what to restore, to wait, or to let the pod start.
func (g *Agents) restoreOrders(ctx context.Context, id broker.Identity, has func(string) bool) (broker.Orders, error) {
	if id.Restore == "" {
		return broker.Orders{Finish: true}, nil
	}
	rs, err := g.labelledRestore(ctx, id.Restore)
	switch {
	case err != nil:
		return broker.Orders{}, err
	case rs == nil:
		return g.unknownRestore(ctx, id.Restore)
	case targetNamespace(rs) != id.Namespace:
		// A label that was taken from a pod of another namespace: no restore of this one will ever have it.
		return broker.Orders{Finish: true}, nil
	}
	if restoredIn(rs, id.PodUID) {
		return broker.Orders{Finish: true}, nil
	}
	if alone, err := g.leftAlone(ctx, rs, id); err != nil || alone {
		return broker.Orders{Finish: alone}, err
	}
	switch rs.Status.Phase {
	case v1beta1.RestoreSucceeded:
		return broker.Orders{Finish: true}, nil
	case v1beta1.RestoreFailed, v1beta1.RestoreInvalid:
		// Another host failed: what was restored stays restored.
		if done, err := g.claimsRestored(ctx, rs, id); err != nil || done {
			return broker.Orders{Finish: done}, err
		}
		return broker.Orders{Refuse: fmt.Sprintf("RestoreSession %q failed: %s", rs.Name, withWayOut(rs, rs.Status.Reason))}, nil
	case v1beta1.RestorePending, v1beta1.RestoreRunning, v1beta1.RestoreUnknown:
	}
	i := slices.IndexFunc(rs.Status.Assignments, func(a v1beta1.Assignment) bool { return a.PodUID == id.PodUID && a.Lost == nil })
	if i < 0 {
		if done, err := g.claimsRestored(ctx, rs, id); err != nil || done {
			return broker.Orders{Finish: done}, err
		}
		return broker.Orders{Wait: "waiting for its turn: " + rs.Status.Reason}, nil
	}
	return g.restoreOrder(ctx, id, rs, rs.Status.Assignments[i], has(rs.Status.Assignments[i].ID))
}

// restoreOrder tells the init-container that has an assignment what to do.
func (g *Agents) restoreOrder(ctx context.Context, id broker.Identity, rs *v1beta1.RestoreSession, a v1beta1.Assignment, has bool) (broker.Orders, error) {
	switch {
	case a.Cancelled:
		return broker.Orders{Cancel: []string{a.ID}}, nil
	case has:
		return broker.Orders{}, nil
	case g.Limits.Exhausted(a):
		return broker.Orders{Wait: "the container ended too often in the middle of the restore"}, g.exhausted(ctx, id, a.ID)
	}
	rs, err := g.stillAssigned(ctx, client.ObjectKeyFromObject(rs), a)
	if err != nil || rs == nil {
		return broker.Orders{}, err
	}
	mine := slices.DeleteFunc(slices.Clone(rs.Status.Pinned), func(p v1beta1.PinnedSnapshot) bool { return p.Hostname != a.Hostname })
	pins, err := g.unrestored(ctx, rs, id, mine)
	if err != nil {
		return broker.Orders{}, err
	}
	if len(pins) == 0 && len(mine) > 0 {
		// Others restored all that this pod would.
		now := g.Now()
		return broker.Orders{}, g.restoreResult(ctx, id, protocol.Result{ID: a.ID, Started: now, Finished: now, Restored: &protocol.Restored{}})
	}
	task, err := g.restoreTask(ctx, id, rs, a, pins)
	if err != nil {
		why, mendable := asProblem(err)
		if o, ok := errors.AsType[*occupied](err); ok {
			why, mendable = o.Error(), true
		}
		if !mendable {
			return broker.Orders{}, err
		}
		return broker.Orders{Wait: why}, g.holdBack(ctx, id, a, why)
	}
	return broker.Orders{Tasks: []protocol.Task{*task}}, nil
}

// restoreByHash finds, in the cache and to be read only, the restore whose label a pod carries: one
// whose target is in the namespace of the pod, wherever the RestoreSession itself is.
func (g *Agents) restoreByHash(ctx context.Context, namespace, hash string) (*v1beta1.RestoreSession, error) {
	rs, err := g.labelledRestore(ctx, hash)
	if err != nil || rs == nil || targetNamespace(rs) != namespace {
		return nil, err
	}
	return rs, nil
}

// labelledRestore is restoreByHash, of pods of any namespace.
func (g *Agents) labelledRestore(ctx context.Context, hash string) (*v1beta1.RestoreSession, error) {
	list := &v1beta1.RestoreSessionList{}
	if err := g.List(ctx, list, client.MatchingFields{indexHash: hash}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list RestoreSessions: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, nil //nolint:nilnil // absence is an answer
	}
	return &list.Items[0], nil
}

// unknownRestore is for an init-container whose restore the cache does not have. Deleting a restore lets its
// pods start, and only the API server knows that it is deleted: until it says so, the pod waits.
func (g *Agents) unknownRestore(ctx context.Context, hash string) (broker.Orders, error) {
	live, err := g.liveRestores(ctx)
	if err != nil {
		return broker.Orders{}, err
	}
	if _, there := live[hash]; there {
		return broker.Orders{Wait: "the RestoreSession of this pod is not known yet"}, nil
	}
	return broker.Orders{Finish: true}, nil
}

// stillAssigned reads a restore from the API server, before its task is handed out; nil where the
// assignment is not that of its pod any more: the cache was behind.
func (g *Agents) stillAssigned(ctx context.Context, key client.ObjectKey, a v1beta1.Assignment) (*v1beta1.RestoreSession, error) {
	rs := &v1beta1.RestoreSession{}
	if err := g.Live.Get(ctx, key, rs); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	assigned := slices.ContainsFunc(rs.Status.Assignments, func(b v1beta1.Assignment) bool {
		return b.ID == a.ID && b.PodUID == a.PodUID && b.Lost == nil && !b.Cancelled
	})
	if !assigned || session.RestoreFinished(rs.Status.Phase) {
		return nil, nil //nolint:nilnil // as said
	}
	return rs, nil
}

func restoredIn(rs *v1beta1.RestoreSession, podUID string) bool {
	return slices.ContainsFunc(rs.Status.Restored, func(r v1beta1.RestoredHost) bool { return r.PodUID == podUID })
}

func (g *Agents) restoreTask(ctx context.Context, id broker.Identity, rs *v1beta1.RestoreSession, a v1beta1.Assignment, pins []v1beta1.PinnedSnapshot) (*protocol.Task, error) {
	spec, _ := rs.Spec.Shipped()
	repo, err := g.Repository(ctx, spec.Repository, rs.Namespace)
	if err != nil {
		return nil, err
	}
	if repo == nil {
		return nil, problemf("Repository %q does not exist", spec.Repository.Name)
	}
	if why, err := g.repositoryRefusal(ctx, repo, rs.Namespace); err != nil || why != "" {
		return nil, problemOr(why, err)
	}
	if err := g.unoccupied(ctx, repo); err != nil {
		return nil, err
	}
	task, err := g.task(ctx, id, repo, a.ID)
	if err != nil {
		return nil, err
	}
	task.Cache.Disabled, task.Nice, task.IONice = spec.TempDir.DisableCaching, niceOf(spec.RuntimeSettings), ioniceOf(spec.RuntimeSettings)
	if spec.TimeOut != nil {
		task.Deadline = rs.CreationTimestamp.Add(spec.TimeOut.Duration)
	}
	task.Restore = &protocol.Restore{Host: a.Hostname, Args: spec.Target.Args}
	// What another pod has restored already into a volume that both have is not written again either.
	all := slices.DeleteFunc(slices.Clone(rs.Status.Pinned), func(p v1beta1.PinnedSnapshot) bool { return p.Hostname != a.Hostname })
	for _, p := range pins {
		rule := v1beta1.Rule{}
		if int(p.Rule) < len(spec.Target.Rules) {
			rule = spec.Target.Rules[p.Rule]
		}
		task.Restore.Snapshots = append(task.Restore.Snapshots, protocol.RestoreSnapshot{
			ID: p.ID, Path: p.Path, Include: rule.Include, Exclude: rule.Exclude,
			Delete: rule.ExistingFiles == v1beta1.ExistingFilesDelete, Elsewhere: session.Elsewhere(all, slices.Index(all, p)),
		})
	}
	return task, nil
}

func findAssignment(bs *v1beta1.BackupSession, id string) *v1beta1.Assignment {
	for i := range bs.Status.Targets {
		for j := range bs.Status.Targets[i].Assignments {
			if bs.Status.Targets[i].Assignments[j].ID == id {
				return &bs.Status.Targets[i].Assignments[j]
			}
		}
	}
	return nil
}

// uidOf returns the UID of the session in an assignment's ID.
func uidOf(task string) string {
	uid, _, _ := strings.Cut(task, "/")
	return uid
}
