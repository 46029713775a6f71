package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// group is the cgroup of a container, which the machine sees: nothing that measures runs in it.
type group struct {
	// dir is on version 1 that of the controller cpuacct.
	dir string
}

// findGroup finds a container's.
func findGroup(pod *corev1.Pod, container string) (group, error) {
	var id string
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range list {
			if s.Name == container {
				_, id, _ = strings.Cut(s.ContainerID, "://")
			}
		}
	}
	if id == "" {
		return group{}, fmt.Errorf("find cgroup of %s: pod %s has no such container that runs", container, pod.Name)
	}
	for _, hierarchy := range []string{"cpuacct", "cpu,cpuacct", "."} {
		for _, class := range []string{"*", "*/*"} { // Guaranteed pods are one folder higher
			found, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", hierarchy, "*/kubepods", class, id))
			if err == nil && len(found) == 1 {
				return group{dir: found[0]}, nil
			}
		}
	}
	return group{}, fmt.Errorf("find cgroup of %s: none is named %s", container, id)
}

// cpu is the time that all processes of the container have worked so far.
func (g group) cpu() (time.Duration, error) {
	if text, err := os.ReadFile(filepath.Join(g.dir, "cpuacct.usage")); err == nil {
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		return time.Duration(n), nil
	}
	text, err := os.ReadFile(filepath.Join(g.dir, "cpu.stat"))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		var microseconds int64
		if n, _ := fmt.Sscanf(line, "usage_usec %d", &microseconds); n == 1 {
			return time.Duration(microseconds) * time.Microsecond, nil
		}
	}
	return 0, errors.New("read CPU time: cpu.stat has no usage_usec")
}

// process is one of a container's.
type process struct {
	pid     int
	name    string
	command []string
	// started is exact to the kernel's tick of 10 ms.
	started time.Time
	// cpu is exact to a tick, too.
	cpu time.Duration
}

const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Kubernetes runs on

// processes lists those that live; one that ends meanwhile is left out.
func (g group) processes() []process {
	text, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	boot := bootTime()
	var list []process
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil {
			if p, err := readProcess(pid, boot); err == nil {
				list = append(list, p)
			}
		}
	}
	return list
}

func bootTime() time.Time {
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(since.Nano()))
}

func readProcess(pid int, boot time.Time) (process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat")) //nolint:gosec // below /proc
	if err != nil {
		return process{}, fmt.Errorf("read process: %w", err)
	}
	command, err := os.ReadFile(filepath.Join(dir, "cmdline")) //nolint:gosec // below /proc
	if err != nil {
		return process{}, fmt.Errorf("read process: %w", err)
	}
	p, err := parseStat(string(stat), boot)
	p.pid, p.command = pid, strings.Split(strings.TrimRight(string(command), "\x00"), "\x00")
	return p, err
}

// parseStat reads /proc/PID/stat, see proc(5). The name, in brackets, may hold anything.
func parseStat(text string, boot time.Time) (process, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("read process: no name in %q", text)
	}
	fields := strings.Fields(text[end+1:]) // from field 3 on
	const user, system, start = 14 - 3, 15 - 3, 22 - 3
	if len(fields) <= start {
		return process{}, fmt.Errorf("read process: too few fields in %q", text)
	}
	var ticks [3]int64
	for i, f := range []int{user, system, start} {
		n, err := strconv.ParseInt(fields[f], 10, 64)
		if err != nil {
			return process{}, fmt.Errorf("read process: %w", err)
		}
		ticks[i] = n
	}
	return process{
		name:    text[open+1 : end],
		started: boot.Add(time.Duration(ticks[2]) * tick),
		cpu:     time.Duration(ticks[0]+ticks[1]) * tick,
	}, nil
}

// agent is the sidecar's own process.
func (g group) agent() (process, error) {
	for _, p := range g.processes() {
		if p.name == "stash-agent" {
			return p, nil
		}
	}
	return process{}, errors.New("find agent: its container has no such process")
}

// clusterRuns tells whether a restic runs in any pod of the cluster that a container belongs to.
func (g group) clusterRuns() bool {
	node, _, _ := strings.Cut(g.dir, "/kubepods/")
	nodes := node[:strings.LastIndexByte(node, '-')+1] + "*"
	dirs, err := filepath.Glob(nodes + "/kubepods/*/*/*")
	if err != nil {
		return false // the pattern is ours
	}
	return slices.ContainsFunc(dirs, func(dir string) bool {
		return slices.ContainsFunc(group{dir: dir}.processes(), func(p process) bool { return p.name == "restic" })
	})
}
