package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/seed-731df569/stash/test/cluster/internal/host"
)

// Cluster is one cluster. Its calls may come from any program and at any time:
// all state is in the state folder, and calls that change hosts wait for each
// other.
type Cluster struct {
	Config

	cache *Cache
}

// New returns the cluster that a description names. It touches nothing; Up
// does.
func New(config Config) (*Cluster, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	return &Cluster{Config: config, cache: NewCache(config.CacheDir, config.Log)}, nil
}

// Open returns the cluster of that name that Up has brought up earlier,
// described as it was then. The folder is StateRoot()/name.
func Open(name string) (*Cluster, error) {
	config, err := loadConfig(filepath.Join(StateRoot(), name))
	if err != nil {
		return nil, fmt.Errorf("open cluster %s: %w", name, err)
	}
	return New(config)
}

// Cache returns the cache that the cluster takes its programs from.
func (c *Cluster) Cache() *Cache { return c.cache }

// SetLog sends a line for each step to log.
func (c *Cluster) SetLog(log io.Writer) {
	c.Log = log
	c.cache = NewCache(c.CacheDir, log)
}

// stepLimit bounds a host's boot and its end.
const stepLimit = 30 * time.Second

// Powered tells whether a host is on.
func (c *Cluster) Powered(name string) bool { return host.PID(c.record(name)) != 0 }

// Proc returns where the machine sees /proc of a host that is on.
func (c *Cluster) Proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(host.PID(c.record(name))), "root", "proc")
}

// PowerOff cuts a host's power: every process, mount and interface of it is
// gone at once, its disk stays. A host that is off is no error.
func (c *Cluster) PowerOff(ctx context.Context, name string) error {
	if _, err := c.hostNumber(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	if err := host.Kill(ctx, c.record(name)); err != nil {
		return fmt.Errorf("power off %s: %w", name, err)
	}
	if c.stranger() != "" {
		return nil
	}
	return unplug(ctx, c.port(name))
}

// PowerOn boots a host from its disk and returns when its processes are being
// started, not when they are ready (see WaitNode, WaitAPI, Storage.WaitReady).
// A host that is on is no error.
func (c *Cluster) PowerOn(ctx context.Context, name string) error {
	if _, err := c.hostNumber(name); err != nil {
		return err
	}
	if c.Powered(name) {
		return nil
	}
	p, err := c.cache.prepare(ctx)
	if err != nil {
		return err
	}
	spec, err := c.spec(name, p)
	if err != nil {
		return err
	}
	return c.boot(ctx, p, spec)
}

// spec describes a host.
func (c *Cluster) spec(name string, p parts) (host.Spec, error) {
	switch name {
	case ControlPlane:
		return c.controlPlaneSpec(p), nil
	case StorageHost:
		return c.Storage().spec(p)
	}
	number, err := c.hostNumber(name)
	if err != nil {
		return host.Spec{}, err
	}
	return c.nodeSpec(number-10, p)
}

// boot starts a host that is off.
func (c *Cluster) boot(ctx context.Context, p parts, spec host.Spec) error {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	if spec.Disk != "" {
		// What a power cut has left there; kubelet would take it for living pods.
		if err := removeCgroups(ctx, c.group(spec.Name)); err != nil {
			return err
		}
		if err := makeCgroups(c.group(spec.Name)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(spec.Disk, "/"), 0o755); err != nil {
		return fmt.Errorf("make disk of %s: %w", spec.Name, err)
	}
	err := host.Start(ctx, p.host, c.runDir(), spec, func(pid int) error { return c.plug(ctx, spec.Name, pid) })
	if err != nil {
		return fmt.Errorf("power on %s: %w%s", spec.Name, err, logTail(filepath.Join(c.LogDir(), spec.Name+".log")))
	}
	return nil
}

// reconcile leaves a host that is on and as described, and boots it otherwise.
func (c *Cluster) reconcile(ctx context.Context, p parts, name string) error {
	spec, err := c.spec(name, p)
	if err != nil {
		return err
	}
	if c.Powered(name) && linkExists(c.port(name)) && host.Same(c.runDir(), spec) {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if _, err := host.Status(attempt, c.control(name)); err == nil {
			return nil
		}
	}
	if err := c.PowerOff(ctx, name); err != nil {
		return err
	}
	return c.boot(ctx, p, spec)
}

// StopProcess kills one process of a host ("kubelet", "kube-apiserver", "etcd",
// …; see Processes) and leaves it off until StartProcess or the next boot.
func (c *Cluster) StopProcess(ctx context.Context, name, process string) error {
	return c.tell(ctx, "stop", name, process, host.Stop)
}

// StartProcess starts a process that StopProcess has stopped.
func (c *Cluster) StartProcess(ctx context.Context, name, process string) error {
	return c.tell(ctx, "start", name, process, host.StartProcess)
}

func (c *Cluster) tell(ctx context.Context, verb, name, process string, do func(context.Context, string, string) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	if err := do(ctx, c.control(name), process); err != nil {
		return fmt.Errorf("%s %s on %s: %w", verb, process, name, err)
	}
	return nil
}

// ProcessStatus is what a host says of one of its processes.
type ProcessStatus = host.ProcessStatus

// Processes lists the processes of a host that is on.
func (c *Cluster) Processes(ctx context.Context, name string) ([]ProcessStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	list, err := host.Status(ctx, c.control(name))
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", name, err)
	}
	return list, nil
}

// InHost prepares a command that runs in a host's name spaces, as on its
// console.
func (c *Cluster) InHost(ctx context.Context, name string, args ...string) *exec.Cmd {
	args = slices.Concat([]string{"--target", strconv.Itoa(host.PID(c.record(name))), "--mount", "--pid", "--net", "--uts", "--ipc", "--"}, args)
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (c *Cluster) logFile(name, process string) string {
	return host.Spec{Name: name, LogDir: c.LogDir()}.Log(process)
}

// each runs a step for several hosts at once and joins the errors.
func each(hosts []string, step func(name string) error) error {
	results := make(chan error, len(hosts))
	for _, h := range hosts {
		go func() { results <- step(h) }()
	}
	var errs error
	for range hosts {
		errs = errors.Join(errs, <-results)
	}
	return errs
}
