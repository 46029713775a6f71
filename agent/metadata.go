package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// restic sets the metadata of what is below the directory that it restores, not of that directory,
// nor of those that it has to make on the way there. These are set here.

// missingAncestors are the directories above p that do not exist, the outermost first.
func missingAncestors(p string) []string {
	var missing []string
	for dir := path.Dir(p); dir != "/"; dir = path.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	return missing
}

// checkTarget refuses what restic would follow or replace.
func checkTarget(p string, node restic.Node) error {
	info, err := os.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return failed(protocol.ReasonOther, "find target: %w", err)
	case node.Type == restic.NodeDir && !info.IsDir():
		return failed(protocol.ReasonOther, "%q is a directory in the snapshot and a %s here: remove it", p, kind(info.Mode()))
	case node.Type != restic.NodeDir && info.IsDir():
		return failed(protocol.ReasonOther, "%q is a %s in the snapshot and a directory here: remove it", p, node.Type)
	}
	return nil
}

func exists(p string) bool {
	_, err := os.Lstat(p)
	return err == nil
}

func kind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode.IsRegular():
		return "file"
	}
	return "special file"
}

// setNodes sets owners, modes, attributes and times, the innermost first, since each directory's
// times change with what is made inside.
func (j *job) setNodes(nodes []pathNode) error {
	for _, n := range slices.Backward(nodes) {
		if n.node.Type != restic.NodeDir {
			continue
		}
		if err := setNode(n); err != nil {
			// The root of a volume may be kubelet's (fsGroup): who may not change it finds it
			// as the application does, and its owner was compared before.
			if errors.Is(err, fs.ErrPermission) && !mayChown() {
				j.log.Warn("the directory keeps its own mode and times", "path", n.path, "err", err)
				continue
			}
			return failed(protocol.ReasonOther, "set metadata of %q: %w", n.path, err)
		}
	}
	return nil
}

func setNode(n pathNode) error {
	info, err := os.Lstat(n.path)
	if err != nil {
		return fmt.Errorf("find directory: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != n.node.UID || stat.Gid != n.node.GID {
		if err := os.Lchown(n.path, int(n.node.UID), int(n.node.GID)); err != nil {
			return fmt.Errorf("set owner: %w", err)
		}
	}
	const bits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	if err := os.Chmod(n.path, n.node.Mode&bits); err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	for _, x := range n.node.Xattrs {
		if x.Name == "security.selinux" {
			continue // see xattrDefault
		}
		if err := syscall.Setxattr(n.path, x.Name, x.Value, 0); err != nil && !errors.Is(err, syscall.ENOTSUP) {
			return fmt.Errorf("set attribute %q: %w", x.Name, err)
		}
	}
	if err := os.Chtimes(n.path, n.node.AccessTime, n.node.ModTime); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}
