package agent

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

// look finds out what a rule could not restore from snapshots, by the same rules as the restore itself.
// It is asked before anything changes: a misspelt path must not take an application down. A path of the
// snapshot's own costs nothing, any other a look at one directory.
func (j *job) look(ctx context.Context, snapshots []restic.Snapshot, l protocol.Look, found *protocol.Maintained) error {
	args, err := restic.ParseRestoreArgs(l.Args)
	if err != nil {
		return failed(protocol.ReasonOther, "check arguments: %w", err)
	}
	for _, s := range snapshots {
		for _, of := range lookedFor(s, l.Paths) {
			err := j.lookAt(ctx, s, path.Clean(of), l, args)
			switch {
			case err == nil:
			case reasonOf(err) == protocol.ReasonPathMissing:
				found.Lacks = append(found.Lacks, protocol.Lack{ID: s.ID, Path: of, Rule: l.Rule, Why: err.Error()})
			default:
				return fmt.Errorf("look into snapshot %s: %w", short(s.ID), err)
			}
		}
	}
	return nil
}

// lookedFor are those of the paths that would be restored from a snapshot.
func lookedFor(s restic.Snapshot, paths []string) []string {
	if len(paths) == 0 {
		return s.Paths
	}
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool {
		return !slices.ContainsFunc(s.Paths, func(own string) bool { return within(path.Clean(p), path.Clean(own)) })
	})
}

// lookAt tells why a path cannot be restored from a snapshot.
func (j *job) lookAt(ctx context.Context, s restic.Snapshot, of string, l protocol.Look, args []string) error {
	p := restorePlan{path: of, command: restic.Restore{ID: s.ID, Path: of}}
	if err := p.patterns(protocol.RestoreSnapshot{ID: s.ID, Path: of, Include: l.Include, Exclude: l.Exclude}, args); err != nil {
		return failed(protocol.ReasonPathMissing, "%w", err)
	}
	if s.HasPath(of) && !p.filtered {
		return nil
	}
	node, err := j.node(ctx, s.ID, of)
	if err != nil {
		if reasonOf(err) == protocol.ReasonPathMissing {
			return failed(protocol.ReasonPathMissing, "%w%s", err, j.instead(ctx, s.ID, path.Dir(of)))
		}
		return err
	}
	if of != "/" && node.Type != restic.NodeDir {
		return nil // patterns do not hold for what is no directory
	}
	return j.letThrough(ctx, p)
}

// namedInstead is how many names of a directory are told to whoever misspelt one.
const namedInstead = 10

// instead says what the deepest directory above a missing path holds; it is empty where that cannot be
// said.
func (j *job) instead(ctx context.Context, id, dir string) string {
	for ; ; dir = path.Dir(dir) {
		var names []string
		_, err := j.runner.Run(ctx, exec.Command{
			Repository: j.task.Repository, Args: restic.CatTree{ID: id, Path: dir}.Args(),
			Read: func(r io.Reader) (err error) {
				names, err = restic.ReadNames(r, namedInstead+1)
				return err
			},
		})
		switch {
		case err == nil && len(names) > 0:
			if len(names) > namedInstead {
				names[namedInstead] = "…"
			}
			return fmt.Sprintf("; in %q it holds %s", dir, strings.Join(names, ", "))
		case restic.ReasonOf(err) != restic.ReasonPathMissing || dir == "/":
			return ""
		}
	}
}
