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
		if err := j.lookForOlder(ctx, s, snapshots, l, found); err != nil {
			return fmt.Errorf("look into snapshot %s: %w", short(s.ID), err)
		}
	}
	return nil
}

// lookForOlder finds out whether a snapshot holds what it would be taken for: paths that older snapshots
// of the host have of their own, and that were perhaps left out of this one, or deleted before it.
func (j *job) lookForOlder(ctx context.Context, s restic.Snapshot, all []restic.Snapshot, l protocol.Look, found *protocol.Maintained) error {
	for _, of := range takenFor(s, all, l.Paths) {
		if slices.ContainsFunc(found.Lacks, func(k protocol.Lack) bool { return k.ID == s.ID && k.Path == of && k.Rule == l.Rule }) {
			continue
		}
		why, err := j.holdsNothing(ctx, s.ID, path.Clean(of))
		if err != nil {
			return err
		}
		if why != "" {
			found.Lacks = append(found.Lacks, protocol.Lack{ID: s.ID, Path: of, Rule: l.Rule, Why: why})
		}
	}
	return nil
}

// takenFor are the paths that a snapshot would be taken for instead of an older one with files, whose own
// path lies below one of its own.
func takenFor(s restic.Snapshot, all []restic.Snapshot, paths []string) []string {
	var out []string
	for _, older := range all {
		if older.Hostname != s.Hostname || !older.Time.Before(s.Time) || older.Empty() {
			continue
		}
		for _, own := range older.Paths {
			if below(own, s.Paths) {
				out = append(out, wantedBelow(own, paths)...)
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), s.HasPath)
}

// wantedBelow are the paths of a rule that lie in a snapshot's own path, or that one where it names none.
func wantedBelow(own string, paths []string) []string {
	if len(paths) == 0 {
		return []string{own}
	}
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return !within(path.Clean(p), path.Clean(own)) })
}

// below tells whether a path lies below one of several, and is none of them.
func below(of string, paths []string) bool {
	return !slices.Contains(paths, of) && slices.ContainsFunc(paths, func(p string) bool { return within(of, p) })
}

// holdsNothing says, if so, that a snapshot has nothing at a path: not the path, or an empty directory.
func (j *job) holdsNothing(ctx context.Context, id, of string) (string, error) {
	node, err := j.node(ctx, id, of)
	if reasonOf(err) == protocol.ReasonPathMissing {
		return err.Error(), nil
	}
	if err != nil || node.Type != restic.NodeDir {
		return "", err
	}
	names, err := j.names(ctx, id, of, 1)
	if err != nil || len(names) > 0 {
		return "", err
	}
	return fmt.Sprintf("the snapshot holds nothing in %q", of), nil
}

// names are the first names in a directory of a snapshot.
func (j *job) names(ctx context.Context, id, dir string, limit int) (names []string, err error) {
	_, err = j.runner.Run(ctx, exec.Command{
		Repository: j.task.Repository, Args: restic.CatTree{ID: id, Path: dir}.Args(),
		Read: func(r io.Reader) (err error) {
			names, err = restic.ReadNames(r, limit)
			return err
		},
	})
	return names, err
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
		names, err := j.names(ctx, id, dir, namedInstead+1)
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
