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

// restore restores each snapshot's path to the same path here. All is looked up and checked before
// anything is written, so that what cannot work leaves the volumes as they were.
func (j *job) restore(ctx context.Context, r protocol.Restore, result *protocol.Result) error {
	if len(r.Snapshots) == 0 {
		return failed(protocol.ReasonNoSnapshot, "read task: it names no snapshot")
	}
	args, err := restic.ParseRestoreArgs(r.Args)
	if err != nil {
		return failed(protocol.ReasonOther, "check arguments: %w", err)
	}
	if _, err := j.config(ctx); err != nil {
		return err
	}
	var plans []restorePlan
	for _, s := range r.Snapshots {
		plan, err := j.plan(ctx, s, args)
		if err != nil {
			return fmt.Errorf("prepare restore of %q from snapshot %s: %w", s.Path, short(s.ID), err)
		}
		plans = append(plans, plan)
	}
	result.Restored = &protocol.Restored{}
	for i, plan := range plans {
		if err := j.restorePath(ctx, plan, i, len(plans), result.Restored); err != nil {
			return fmt.Errorf("restore %q from snapshot %s: %w", plan.path, short(plan.command.ID), err)
		}
	}
	return nil
}

func short(id string) string { return id[:min(len(id), 8)] }

// restorePlan is what was found out about one path.
type restorePlan struct {
	path    string
	command restic.Restore
	// filtered tells that patterns leave something out, included that some of them say what is let in.
	filtered, included bool
	// shared tells that what other snapshots hold of the path is left out.
	shared bool
	// nodes are path and those of its ancestors that do not exist here, the outermost first:
	// restic leaves their owners, modes and times as it makes them.
	nodes []pathNode
}

type pathNode struct {
	path string
	node restic.Node
}

// plan looks up what is to be restored and checks that it can be.
func (j *job) plan(ctx context.Context, s protocol.RestoreSnapshot, args []string) (restorePlan, error) {
	if err := checkPath(s.Path); err != nil {
		return restorePlan{}, err
	}
	target := path.Clean(s.Path)
	p := restorePlan{path: target, command: restic.Restore{ID: s.ID, Path: target, Target: target, Delete: s.Delete}}
	if target != "/" {
		if err := j.lookUp(ctx, &p); err != nil {
			return p, err
		}
	} else if _, err := j.node(ctx, s.ID, "/"); err != nil {
		return p, err
	}
	if err := p.patterns(s, args); err != nil {
		return p, err
	}
	if len(p.nodes) > 0 && p.nodes[len(p.nodes)-1].node.Type != restic.NodeDir {
		p.single()
	} else if err := j.letThrough(ctx, p); err != nil {
		return p, err
	}
	p.leaveOut(s.Elsewhere)
	return p, j.checkOwners(ctx, p)
}

// leaveOut leaves out what is restored from other snapshots.
func (p *restorePlan) leaveOut(elsewhere []string) {
	if len(p.command.Include) > 0 || p.included {
		return // restic does not combine the two; what is newer is restored over it
	}
	for _, other := range elsewhere {
		other = path.Clean(other)
		if other == p.path || !within(other, p.path) {
			continue
		}
		p.command.Exclude = append(p.command.Exclude, restic.EscapePattern("/"+strings.Trim(strings.TrimPrefix(other, p.path), "/")))
		p.filtered, p.shared = true, true
	}
}

// lookUp fills in the nodes.
func (j *job) lookUp(ctx context.Context, p *restorePlan) error {
	for _, dir := range append(missingAncestors(p.path), p.path) {
		node, err := j.node(ctx, p.command.ID, dir)
		if err != nil {
			return err
		}
		p.nodes = append(p.nodes, pathNode{dir, node})
	}
	return checkTarget(p.path, p.nodes[len(p.nodes)-1].node)
}

// node reads what the snapshot says about one path. For the root it only proves that the snapshot
// is there: a snapshot knows nothing about its root.
func (j *job) node(ctx context.Context, id, of string) (restic.Node, error) {
	var node restic.Node
	var found bool
	_, err := j.runner.Run(ctx, exec.Command{
		Repository: j.task.Repository, Args: restic.CatTree{ID: id, Path: path.Dir(of)}.Args(),
		Read: func(r io.Reader) (err error) {
			node, found, err = restic.FindNode(r, path.Base(of))
			return err
		},
	})
	switch {
	case restic.ReasonOf(err) == restic.ReasonPathMissing:
		return node, failed(protocol.ReasonPathMissing, "the snapshot does not hold %q", of)
	case err != nil:
		return node, err
	case !found && of != "/":
		return node, failed(protocol.ReasonPathMissing, "the snapshot does not hold %q", of)
	}
	return node, nil
}

// patterns makes the user's patterns relative to the path.
func (p *restorePlan) patterns(s protocol.RestoreSnapshot, args []string) error {
	include, exclude := patternSet{from: s.Include}, patternSet{from: s.Exclude}
	var iinclude, iexclude patternSet
	iinclude.fold, iexclude.fold = true, true
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "--include":
			include.from = append(include.from, value)
		case "--exclude":
			exclude.from = append(exclude.from, value)
		case "--iinclude":
			iinclude.from = append(iinclude.from, value)
		case "--iexclude":
			iexclude.from = append(iexclude.from, value)
		default:
			p.command.UserArgs = append(p.command.UserArgs, arg)
		}
	}
	for _, set := range []*patternSet{&include, &exclude, &iinclude, &iexclude} {
		if err := set.translate(p.path); err != nil {
			return failed(protocol.ReasonOther, "translate patterns: %w", err)
		}
	}
	includes := len(include.from)+len(iinclude.from) > 0
	if includes && len(exclude.from)+len(iexclude.from) > 0 {
		return failed(protocol.ReasonOther, "both include and exclude patterns are given, which restic cannot combine: use one of them")
	}
	if exclude.all || iexclude.all {
		return leavesNothing(*p)
	}
	if includes && !include.all && !iinclude.all {
		if len(include.to)+len(iinclude.to) == 0 {
			return failed(protocol.ReasonPathMissing, "no include pattern can match anything below %q", p.path)
		}
		p.command.Include = include.to
		p.command.UserArgs = append(p.command.UserArgs, flags("--iinclude=", iinclude.to)...)
		p.filtered, p.included = true, true
	}
	p.command.Exclude = exclude.to
	p.command.UserArgs = append(p.command.UserArgs, flags("--iexclude=", iexclude.to)...)
	p.filtered = p.filtered || len(exclude.to)+len(iexclude.to) > 0
	if p.command.Delete && !includes && !mayChown() && exists(path.Join(p.path, lostFound)) {
		// It is the file system's, on each volume its own, and not ours to delete.
		p.command.Exclude = append(p.command.Exclude, "/"+lostFound)
	}
	p.command.UserArgs = append(p.command.UserArgs, xattrDefault(p.command.UserArgs)...)
	return nil
}

const lostFound = "lost+found"

// patternSet are patterns of one option.
type patternSet struct {
	from, to []string
	fold     bool
	all      bool
}

func (s *patternSet) translate(dir string) (err error) {
	s.to, s.all, err = restic.RelativePatterns(s.from, dir, s.fold)
	return err
}

func flags(prefix string, values []string) []string {
	args := make([]string, len(values))
	for i, v := range values {
		args[i] = prefix + v
	}
	return args
}

// xattrDefault leaves SELinux labels out: they belong to the pod that was backed up, and kubelet
// has given the volume those of this one.
func xattrDefault(args []string) []string {
	for _, arg := range args {
		if strings.HasPrefix(arg, "--include-xattr=") || strings.HasPrefix(arg, "--exclude-xattr=") {
			return nil
		}
	}
	return []string{"--exclude-xattr=security.selinux"}
}

// single makes the restore one of a path that is no directory: restic restores from directories.
func (p *restorePlan) single() {
	dir, name := path.Split(p.path)
	p.command.Path, p.command.Target = path.Clean(dir), path.Clean(dir)
	p.command.Include = []string{"/" + restic.EscapePattern(name)}
	p.command.Exclude, p.command.Delete, p.filtered, p.included = nil, false, false, false
	p.command.UserArgs = slices.DeleteFunc(p.command.UserArgs, func(arg string) bool {
		return strings.HasPrefix(arg, "--iinclude=") || strings.HasPrefix(arg, "--iexclude=")
	})
	p.nodes = p.nodes[:len(p.nodes)-1]
}

// restoreProgress is how far a restore of a path is, the index'th of so many. What is left as it is counts
// among what is done, and so among the total, where restic leaves it out.
func restoreProgress(s restic.RestoreStatus, path string, index, count int) protocol.Progress {
	return protocol.Progress{
		Percent:   100 * (float64(index) + s.PercentDone) / float64(count),
		BytesDone: s.BytesRestored + s.BytesSkipped, TotalBytes: s.TotalBytes + s.BytesSkipped,
		FilesDone: s.FilesRestored + s.FilesSkipped, TotalFiles: s.TotalFiles + s.FilesSkipped, Path: path,
	}
}

// restorePath writes one path.
func (j *job) restorePath(ctx context.Context, p restorePlan, index, count int, total *protocol.Restored) error {
	output := restic.RestoreOutput{OnStatus: func(s restic.RestoreStatus) {
		j.progress(restoreProgress(s, p.path, index, count))
	}}
	_, err := j.runner.Run(ctx, exec.Command{
		Repository: j.task.Repository, Args: p.command.Args(), Line: output.Line, RetryLock: j.timings.RetryLock,
	})
	found := false
	if s := output.Summary; s != nil {
		found = s.Found()
		total.Files += s.FilesRestored
		total.Bytes += s.BytesRestored
		total.Skipped += s.FilesSkipped
		total.Deleted += s.FilesDeleted
	}
	switch {
	case err != nil:
		return err
	case output.Summary == nil:
		return failed(protocol.ReasonOther, "restic ended without a summary")
	case found || p.shared: // others may hold all of it
	case p.filtered:
		if err := j.nothing(ctx, p); err != nil {
			return err
		}
	case len(p.command.Include) > 0:
		return failed(protocol.ReasonPathMissing, "the snapshot does not hold %q", p.path) // see single
	}
	return j.setNodes(p.nodes)
}
