package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

// restic that is not root restores files as its own and exits 0. So whoever may not give files away
// first compares the owners in the snapshot with those that it can set.

const capChown = 0 // its number in capability sets

// mayChown tells whether we and the restic that we start may give files to anybody. Root without
// the capability may not.
func mayChown() bool {
	if os.Geteuid() != 0 {
		return false
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return true
	}
	for line := range bytes.Lines(status) {
		if value, found := bytes.CutPrefix(line, []byte("CapEff:")); found {
			set, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
			return err != nil || set&(1<<capChown) != 0
		}
	}
	return true
}

// owners tells which owners we can set.
type owners struct {
	uid  uint32
	gids []uint32
}

func ourOwners() owners {
	o := owners{uid: uint32(os.Geteuid()), gids: []uint32{uint32(os.Getegid())}} //nolint:gosec // IDs are 32 bits
	groups, err := os.Getgroups()
	if err != nil {
		return o
	}
	for _, g := range groups {
		o.gids = append(o.gids, uint32(g)) //nolint:gosec // IDs are 32 bits
	}
	return o
}

// canSet tells whether a node at a path here gets its owner: it is ours, or a directory that is
// there already has it.
func (o owners) canSet(n restic.Node, at string) bool {
	if n.UID == o.uid && slices.Contains(o.gids, n.GID) {
		return true
	}
	if n.Type != restic.NodeDir {
		return false
	}
	info, err := os.Lstat(at)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == n.UID && stat.Gid == n.GID
}

// checkOwners fails if the restore would lose an owner.
func (j *job) checkOwners(ctx context.Context, p restorePlan) error {
	if mayChown() {
		return nil
	}
	ours := ourOwners()
	foreign := map[string]restic.Node{}
	count, example := 0, restic.Node{}
	note := func(at string, n restic.Node) {
		if ours.canSet(n, at) {
			return
		}
		if count++; count == 1 {
			example = n
			example.Path = at
		}
		if p.filtered {
			foreign[at] = n
		}
	}
	for _, n := range p.nodes {
		note(n.path, n.node)
	}
	if err := j.eachNode(ctx, p, note); err != nil {
		return fmt.Errorf("compare owners: %w", err)
	}
	if p.filtered && count > 0 {
		var err error
		if count, example, err = j.restoredOf(ctx, p, foreign); err != nil {
			return fmt.Errorf("compare owners: %w", err)
		}
	}
	if count == 0 {
		return nil
	}
	return failed(protocol.ReasonOwnership,
		"%d files belong to users or groups that user %d cannot set, for example %q to %d:%d: run the restore as root (runtimeSettings.container.securityContext), or as the owner of the files",
		count, ours.uid, example.Path, example.UID, example.GID)
}

// eachNode lists what the snapshot holds at and below the path of the plan.
func (j *job) eachNode(ctx context.Context, p restorePlan, note func(string, restic.Node)) error {
	ls := restic.Ls{ID: p.command.ID}
	if p.path != "/" {
		ls.Path = p.path
	}
	_, err := j.runner.Run(ctx, exec.Command{Repository: j.task.Repository, Args: ls.Args(), Read: func(r io.Reader) error {
		return restic.ReadNodes(r, func(n restic.Node) {
			if n.Path == p.path && n.Type == restic.NodeDir || !within(n.Path, p.path) {
				return // noted before, or an ancestor
			}
			note(n.Path, n)
		})
	}})
	return err
}

func within(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// restoredOf counts those of the nodes that the patterns let through: restic is asked, by a dry run.
func (j *job) restoredOf(ctx context.Context, p restorePlan, foreign map[string]restic.Node) (count int, example restic.Node, err error) {
	command := p.command
	command.DryRun, command.Delete = true, false
	output := restic.RestoreOutput{OnItem: func(item string) {
		n, found := foreign[path.Join(command.Path, item)]
		if !found {
			return
		}
		if count++; count == 1 {
			example = n
			example.Path = path.Join(command.Path, item)
		}
	}}
	_, err = j.runner.Run(ctx, exec.Command{Repository: j.task.Repository, Args: command.Args(), Line: output.Line})
	return count, example, err
}
