package agent

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

// letThrough fails where the patterns of a plan let no file of its directory through: restic would
// restore nothing, with success. It is asked, by a dry run, for as long as a look may take. What is not
// known then is found out by the restore.
func (j *job) letThrough(ctx context.Context, p restorePlan) error {
	if !p.filtered {
		return nil
	}
	p.command.Delete, p.command.Target = false, filepath.Join(j.runner.WorkDir, "nothing")
	p.command.UserArgs = append(slices.Clone(p.command.UserArgs), "--no-lock") // a look must not wait for a prune
	limited, cancel := context.WithTimeout(ctx, j.timings.Metadata)
	defer cancel()
	err := j.tryOut(limited, p)
	if restic.ReasonOf(err) == restic.ReasonDeadline && ctx.Err() == nil {
		return nil
	}
	return err
}

func (j *job) tryOut(ctx context.Context, p restorePlan) error {
	command := p.command
	command.DryRun = true
	var output restic.RestoreOutput
	_, err := j.runner.Run(ctx, exec.Command{Repository: j.task.Repository, Args: command.Args(), Line: output.Line})
	s := output.Summary
	switch {
	case err != nil:
		return err
	case s == nil || s.TotalBytes > 0 || s.TotalFiles > 0 && p.included:
		return nil
	case s.TotalFiles == 0:
		return j.nothing(ctx, p)
	}
	// What exclude patterns leave may be directories alone, which restic counts as files.
	files, small := 0, map[string]restic.Node{}
	err = j.eachNode(ctx, p, func(at string, n restic.Node) {
		if n.Type == restic.NodeDir {
			return
		}
		if files++; n.Size == 0 {
			small[at] = n
		}
	})
	if err != nil || files == 0 {
		return err
	}
	if count, _, err := j.restoredOf(ctx, p, small); err != nil || count > 0 {
		return err
	}
	return leavesNothing(p)
}

// nothing is the failure of patterns that let nothing through; none where there is nothing that they
// could leave out.
func (j *job) nothing(ctx context.Context, p restorePlan) error {
	if p.included {
		return failed(protocol.ReasonPathMissing, "the include patterns match nothing in the snapshot")
	}
	names, err := j.names(ctx, p.command.ID, p.command.Path, 1)
	if err != nil || len(names) == 0 {
		return err
	}
	return leavesNothing(p)
}

func leavesNothing(p restorePlan) error {
	return failed(protocol.ReasonPathMissing, "the exclude patterns leave nothing of %q", p.path)
}
