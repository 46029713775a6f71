package agent

import (
	"context"
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
	for batch := range slices.Chunk(remove, forgetBatch) {
		if err := j.change(ctx, restic.Forget{IDs: batch}.Args()); err != nil {
			return err
		}
		found.Removed += len(batch)
	}
	if f.Prune {
		if err := j.prune(ctx, found); err != nil {
			return err
		}
	}
	return j.list(ctx, found)
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
