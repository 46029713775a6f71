package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// hierarchies returns the mount points of cgroups from the text of
// /proc/self/mountinfo: one on version 2, one for each controller on version 1.
func hierarchies(mountinfo io.Reader) []string {
	var found []string
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) == 0 || !strings.HasPrefix(kind[0], "cgroup") {
			continue
		}
		if path := fields[4]; strings.HasPrefix(path, "/sys/fs/cgroup") && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}

// unifiedRoot is where version 2 is when it is alone.
const unifiedRoot = "/sys/fs/cgroup"

func machineHierarchies() ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	defer f.Close()
	found := hierarchies(f)
	if len(found) == 0 {
		return nil, errors.New("find cgroups: none is mounted below /sys/fs/cgroup")
	}
	return found, nil
}

// makeCgroups makes the group below which a node's pods live.
func makeCgroups(group string) error {
	roots, err := machineHierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, group)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		if root == unifiedRoot {
			if err := errors.Join(enableControllers(root), enableControllers(dir)); err != nil {
				return err
			}
			continue
		}
		// Version 1: a new cpuset is empty and accepts no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				continue // another controller
			}
			if err := os.WriteFile(filepath.Join(dir, file), value, 0o600); err != nil {
				return fmt.Errorf("fill cgroup: %w", err)
			}
		}
	}
	return nil
}

// enableControllers gives the groups below a group of version 2 the controllers
// that kubelet wants to find there. systemd enables only those that it uses,
// and leaves alone what a group below has enabled in turn.
func enableControllers(group string) error {
	data, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("find controllers of cgroup: %w", err)
	}
	var wanted []string
	for name := range strings.FieldsSeq(string(data)) {
		if slices.Contains([]string{"cpu", "cpuset", "hugetlb", "io", "memory", "pids"}, name) {
			wanted = append(wanted, "+"+name)
		}
	}
	if err := os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte(strings.Join(wanted, " ")), 0o600); err != nil {
		return fmt.Errorf("enable controllers %s of cgroup (a container has no groups of its own; use a machine or a virtual machine): %w", strings.Join(wanted, " "), err)
	}
	return nil
}

// removeCgroups removes a group and those below it. Its processes have been
// killed, but the kernel may still be at it.
func removeCgroups(ctx context.Context, group string) error {
	roots, err := machineHierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, group)
		for {
			err := removeTree(dir)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("remove cgroup: %w", err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// removeTree removes folders from the deepest up; their files are the
// kernel's and go with them.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range slices.Backward(dirs) {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
