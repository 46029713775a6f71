package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

// lockWait is how long a worker waits for a lock. It is given exclusive work when none of our agents
// is at work, so that a lock is a dead one or a stranger's: whose it is is better looked at soon.
const lockWait = 10 * time.Second

// maxListed is how many snapshots an answer lists that is not a search's.
const maxListed = 50

// maintain does one operation of a repository's worker. Each begins with a look at the config,
// which ends within the limit whatever is wrong with the backend.
func (j *job) maintain(ctx context.Context, m protocol.Maintain, found *protocol.Maintained) error {
	switch m.Operation {
	case protocol.OpProbe:
		return j.probe(ctx, found)
	case protocol.OpInit:
		return j.init(ctx, found)
	default:
		return j.maintainExisting(ctx, m, found)
	}
}

// maintainExisting does an operation on a repository that must exist.
func (j *job) maintainExisting(ctx context.Context, m protocol.Maintain, found *protocol.Maintained) error {
	config, err := j.config(ctx)
	if err != nil {
		return err
	}
	found.RepositoryID, found.FormatVersion = config.ID, config.Version
	switch m.Operation {
	case protocol.OpForget:
		if m.Forget == nil {
			return failed(protocol.ReasonOther, "read task: it has no policy")
		}
		return j.forget(ctx, *m.Forget, found)
	case protocol.OpCheck:
		return j.check(ctx, found)
	case protocol.OpList:
		return j.list(ctx, found)
	case protocol.OpFind:
		return j.find(ctx, m.Queries, found)
	case protocol.OpUnlock:
		return j.unlock(ctx, m, found)
	default:
		return failed(protocol.ReasonOther, "read task: operation %q is not known to this agent", m.Operation)
	}
}

// change runs a command that changes the repository and waits for locks.
func (j *job) change(ctx context.Context, args []string) error {
	return j.changeIn(ctx, j.task.Repository, args)
}

func (j *job) changeIn(ctx context.Context, r restic.Repository, args []string) error {
	_, err := j.runner.Run(ctx, exec.Command{
		Repository: r, Args: args, Line: func([]byte) {}, RetryLock: min(lockWait, j.timings.RetryLock),
	})
	return err
}

func (j *job) prune(ctx context.Context, found *protocol.Maintained) error {
	if err := j.changeIn(ctx, j.task.Repository.ForPrune(), restic.Prune{}.Args()); err != nil {
		return err
	}
	found.Pruned = true
	return nil
}

// check verifies the repository. Damage is an answer; a backend that fails meanwhile is an error,
// since it says nothing about the data.
func (j *job) check(ctx context.Context, found *protocol.Maintained) error {
	var output restic.CheckOutput
	run, err := j.runner.Run(ctx, exec.Command{
		Repository: j.task.Repository, Args: restic.Check{}.Args(), Line: output.Line, RetryLock: min(lockWait, j.timings.RetryLock),
	})
	healthy := err == nil
	switch {
	case healthy:
	case run.Code != restic.ExitFailed || ctx.Err() != nil:
		return err
	case run.Stderr.FaultCount == 0 && (output.Summary == nil || output.Summary.NumErrors == 0):
		return err
	default:
		for _, text := range append(slices.Clone(run.Stderr.Faults), run.Stderr.LastRetry) {
			switch restic.Classify(run.Code, text) {
			case restic.ReasonUnreachable, restic.ReasonAccessDenied, restic.ReasonNoBucket:
				return err
			default:
			}
		}
		found.Faults = run.Stderr.Faults
	}
	found.Healthy = &healthy
	return nil
}

// list counts what the repository holds.
func (j *job) list(ctx context.Context, found *protocol.Maintained) error {
	snapshots, err := j.snapshots(ctx, restic.Snapshots{})
	if err != nil {
		return err
	}
	return j.sumUp(ctx, snapshots, found)
}

// sumUp tells what a repository holds, whose snapshots are known.
func (j *job) sumUp(ctx context.Context, snapshots []restic.Snapshot, found *protocol.Maintained) error {
	found.SnapshotCount = len(snapshots)
	found.Snapshots = snapshots[max(0, len(snapshots)-maxListed):]
	slices.Reverse(found.Snapshots) // the newest first
	stats, err := j.stats(ctx, restic.Stats{Mode: restic.StatsRawData})
	if err != nil {
		return err
	}
	found.TotalSize = stats.TotalSize
	ids, err := j.lockIDs(ctx)
	for _, id := range ids {
		found.Locks = append(found.Locks, restic.Lock{ID: id})
	}
	return err
}

// lockIDs lists the locks that are held.
func (j *job) lockIDs(ctx context.Context) ([]string, error) {
	out, err := j.output(ctx, restic.List{Type: restic.ListLocks}.Args())
	if err != nil {
		return nil, err
	}
	return restic.ReadList(out)
}

// snapshots lists snapshots, the oldest first.
func (j *job) snapshots(ctx context.Context, filter restic.Snapshots) ([]restic.Snapshot, error) {
	out, err := j.output(ctx, filter.Args())
	if err != nil {
		return nil, err
	}
	return restic.ReadSnapshots(out)
}

func (j *job) stats(ctx context.Context, of restic.Stats) (restic.StatsResult, error) {
	out, err := j.output(ctx, of.Args())
	if err != nil {
		return restic.StatsResult{}, err
	}
	return restic.ReadStats(out)
}

// find answers queries: what matches any of them, the newest first.
func (j *job) find(ctx context.Context, queries []protocol.Query, found *protocol.Maintained) error {
	snapshots, err := j.snapshots(ctx, restic.Snapshots{})
	if err != nil {
		return err
	}
	found.SnapshotCount, found.Looked = len(snapshots), true
	slices.Reverse(snapshots)
	wanted := map[string]bool{}
	for _, q := range queries {
		selected := matches(snapshots, q)
		for _, s := range selected {
			wanted[s.ID] = true
		}
		if q.Look == nil {
			continue
		}
		if err := j.look(ctx, selected, *q.Look, found); err != nil {
			return err
		}
	}
	for _, s := range snapshots {
		if wanted[s.ID] {
			found.Snapshots = append(found.Snapshots, s)
		}
	}
	return nil
}

// matches returns the snapshots, given the newest first, that a query selects.
func matches(snapshots []restic.Snapshot, q protocol.Query) []restic.Snapshot {
	var selected []restic.Snapshot
	seen, filled := map[string]bool{}, map[string]bool{}
	for _, s := range snapshots {
		if q.Host != "" && s.Hostname != q.Host || q.Path != "" && !s.HasPath(q.Path) || q.Tag != "" && !s.HasTag(q.Tag) {
			continue
		}
		if len(q.IDs) > 0 && !slices.ContainsFunc(q.IDs, s.HasID) {
			continue
		}
		group := fmt.Sprintf("%q %q", s.Hostname, s.Paths)
		if q.Latest && seen[group] && (filled[group] || s.Empty()) {
			continue
		}
		seen[group], filled[group] = true, filled[group] || !s.Empty()
		selected = append(selected, s)
	}
	return selected
}

// unlock removes the locks if each of them is known dead; else it only lists
// them. restic cannot remove one lock, and its own idea of a stale one is wrong between pods.
func (j *job) unlock(ctx context.Context, m protocol.Maintain, found *protocol.Maintained) error {
	ids, err := j.lockIDs(ctx)
	if err != nil {
		return err
	}
	all := true
	for _, id := range ids {
		lock, err := j.lock(ctx, id)
		if errors.Is(err, errGone) {
			continue
		} else if err != nil {
			return err
		}
		found.Locks = append(found.Locks, lock)
		all = all && slices.ContainsFunc(m.Dead, func(d protocol.DeadLocks) bool { return d.Has(lock) })
	}
	if len(found.Locks) == 0 || !all {
		return nil
	}
	if err := j.change(ctx, restic.Unlock{RemoveAll: true}.Args()); err != nil {
		return err
	}
	found.Unlocked = true
	return nil
}

var errGone = errors.New("the lock is gone")

// lock reads one lock. One that is unreadable is reported without a host, so that nobody removes it.
func (j *job) lock(ctx context.Context, id string) (restic.Lock, error) {
	out, err := j.output(ctx, restic.CatLock{ID: id}.Args())
	if err != nil {
		ids, listErr := j.lockIDs(ctx)
		if listErr != nil {
			return restic.Lock{}, listErr
		}
		if !slices.Contains(ids, id) {
			return restic.Lock{}, errGone
		}
		return restic.Lock{ID: id}, nil
	}
	lock, err := restic.ReadLock(out)
	lock.ID = id
	return lock, err
}
