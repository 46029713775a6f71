package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// forgetBatch bounds the arguments of one restic.
const forgetBatch = 500

// forget applies a policy to each group, prunes if asked, and lists what is left. restic says what
// the policy would remove; from that the protected snapshots are taken, and the rest is removed by
// ID. Where anything is unclear, nothing of the group is removed.
func (j *job) forget(ctx context.Context, f protocol.Forget, found *protocol.Maintained) error {
	var remove []string
	for _, group := range f.Groups {
		ids, kept, err := j.candidates(ctx, group, f)
		if err != nil {
			return fmt.Errorf("apply policy to host %q path %q: %w", group.Host, group.Path, err)
		}
		remove = append(remove, ids...)
		found.Protected = append(found.Protected, kept...)
	}
	slices.Sort(remove)
	remove = slices.Compact(remove)
	if f.DryRun {
		found.WouldRemove = new(len(remove))
		return j.list(ctx, found)
	}
	snapshots, err := j.remove(ctx, remove, found)
	if err != nil {
		return err
	}
	if f.Prune {
		if err := j.prune(ctx, found); err != nil {
			return err
		}
	}
	return j.sumUp(ctx, snapshots, found)
}

// remove forgets snapshots, counts those that are gone, and returns what there is then. What restic says
// proves nothing: where the storage lets nothing be deleted, it complains and exits with 0.
func (j *job) remove(ctx context.Context, ids []string, found *protocol.Maintained) ([]restic.Snapshot, error) {
	for batch := range slices.Chunk(ids, forgetBatch) {
		if err := j.change(ctx, restic.Forget{IDs: batch}.Args()); err != nil && !errors.Is(err, restic.ErrIncomplete) {
			return nil, err
		}
	}
	snapshots, err := j.snapshots(ctx, restic.Snapshots{})
	if err != nil {
		return nil, err
	}
	left := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return !slices.ContainsFunc(snapshots, func(s restic.Snapshot) bool { return s.ID == id })
	})
	found.Removed = len(ids) - len(left)
	if len(left) == 0 {
		return snapshots, nil
	}
	// The reason is not that access is denied: the backend can be used, and backups go on.
	return nil, failed(protocol.ReasonOther,
		"%d of %d snapshots that the policy removes are still there, for example %s: the storage did not delete them; "+
			"its key needs the right to delete, and no object lock may hold them", len(left), len(ids), short(left[0]))
}

// candidates returns the IDs that the policy removes from a group, and those that it would remove
// and that are kept.
func (j *job) candidates(ctx context.Context, g protocol.Group, f protocol.Forget) (remove, kept []string, err error) {
	if g.Host == "" {
		return nil, nil, failed(protocol.ReasonOther, "the group has no host, which would be every host")
	}
	if f.Policy.IsEmpty() {
		return nil, nil, nil
	}
	out, err := j.output(ctx, restic.ForgetPlan{Host: g.Host, Path: g.Path, Policy: f.Policy}.Args())
	if err != nil {
		return nil, nil, err
	}
	plan, err := restic.ReadForgetPlan(out)
	if err != nil {
		return nil, nil, err
	}
	for _, group := range plan {
		// --path also finds snapshots of several paths, which are somebody else's.
		if group.Host != g.Host || g.Path != "" && !slices.Equal(group.Paths, []string{g.Path}) {
			continue
		}
		newest, err := j.newestWithData(ctx, group)
		if err != nil {
			return nil, nil, err
		}
		for _, s := range group.Remove {
			if s.ID == newest || slices.ContainsFunc(f.Protect, s.HasID) {
				kept = append(kept, s.ID)
			} else {
				remove = append(remove, s.ID)
			}
		}
	}
	return remove, kept, nil
}

// newestWithData returns the ID of the group's newest snapshot that holds any data, "" if none
// does: an emptied volume backs up with success, and the last good snapshots would be pushed out.
func (j *job) newestWithData(ctx context.Context, g restic.ForgetGroup) (string, error) {
	all := slices.Concat(g.Keep, g.Remove)
	slices.SortStableFunc(all, func(a, b restic.Snapshot) int { return b.Time.Compare(a.Time) })
	for _, s := range all {
		if s.Summary != nil {
			if s.Summary.TotalFilesProcessed > 0 {
				return s.ID, nil
			}
			continue
		}
		stats, err := j.stats(ctx, restic.Stats{Mode: restic.StatsRestoreSize, IDs: []string{s.ID}})
		if err != nil {
			return "", err
		}
		if stats.TotalSize > 0 {
			return s.ID, nil
		}
	}
	return "", nil
}
