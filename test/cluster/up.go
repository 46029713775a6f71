package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-731df569/stash/test/cluster/internal/host"
)

// How long the steps of Up may take before it gives up. They take a tenth of
// that on two cores.
const (
	apiLimit   = 90 * time.Second
	nodeLimit  = 120 * time.Second
	addonLimit = 120 * time.Second
	// importLimit bounds the loading of an image of some 100 MB.
	importLimit = 180 * time.Second
)

// Up brings the cluster up and returns when the API server answers, every
// node is ready, and DNS and dynamic volumes work. What is missing is built
// first. On a cluster that is up, it returns quickly; one that is damaged
// (hosts without power, the machine rebooted) it repairs; one that was
// described otherwise it changes, restarting the hosts concerned.
func (c *Cluster) Up(ctx context.Context) error {
	begin := time.Now()
	if err := c.cache.equip(ctx); err != nil {
		return err
	}
	if !linkExists(c.bridge()) {
		if err := checkKernel(ctx); err != nil {
			return err
		}
	}
	p, err := c.cache.prepare(ctx)
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, c.lockFile())
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.layOut(); err != nil {
		return err
	}
	if err := c.dropStrangers(ctx); err != nil {
		return err
	}
	if err := c.ensureBridge(ctx); err != nil {
		return err
	}
	if err := each(c.Hosts(), func(name string) error { return c.reconcile(ctx, p, name) }); err != nil {
		return err
	}
	if err := c.WaitAPI(ctx); err != nil {
		return err
	}
	if err := c.applyAddons(ctx); err != nil {
		return err
	}
	if err := c.WaitReady(ctx); err != nil {
		return err
	}
	c.logf("cluster %s is up after %s", c.Name, time.Since(begin).Round(100*time.Millisecond))
	return nil
}

func (c *Cluster) lockFile() string { return c.StateDir + ".lock" }

// layOut makes the state folder with credentials.
func (c *Cluster) layOut() error {
	for _, dir := range []string{c.runDir(), c.LogDir(), c.path("pki"), c.path("etcd"), c.loadedDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
	}
	if err := c.issue(); err != nil {
		return err
	}
	return c.save()
}

// dropStrangers ends hosts that an earlier description of the cluster had and
// this one has not.
func (c *Cluster) dropStrangers(ctx context.Context) error {
	for _, name := range c.recorded() {
		if slices.Contains(c.Hosts(), name) || name == StorageHost {
			continue
		}
		if err := c.end(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// recorded lists the hosts that have left a record in the state folder.
func (c *Cluster) recorded() []string {
	files, err := filepath.Glob(filepath.Join(c.runDir(), "*.json"))
	if err != nil {
		return nil // the pattern is ours
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return names
}

// end cuts a host's power for good and removes what it had beside its disk.
func (c *Cluster) end(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	if err := host.Kill(ctx, c.record(name)); err != nil {
		return fmt.Errorf("end host %s: %w", name, err)
	}
	if c.stranger() != "" {
		return nil // ports and cgroups of that number are the stranger's
	}
	return errors.Join(unplug(ctx, c.port(name)), removeCgroups(ctx, c.group(name)))
}

// DownOption changes what Down leaves.
type DownOption int

// KeepStorage leaves the S3 server running, with its data and the bridge.
const KeepStorage DownOption = 1

// Down removes the cluster: hosts, disks, network, cgroups, state. It works
// on every remainder of a cluster, too. The cache stays.
func (c *Cluster) Down(ctx context.Context, options ...DownOption) error {
	unlock, err := lock(ctx, c.lockFile())
	if err != nil {
		return err
	}
	defer unlock()
	keep := slices.Contains(options, KeepStorage)
	hosts := c.recorded()
	for _, name := range c.Hosts() {
		if !slices.Contains(hosts, name) {
			hosts = append(hosts, name)
		}
	}
	if keep {
		hosts = slices.DeleteFunc(hosts, func(name string) bool { return name == StorageHost })
	}
	if err := each(hosts, func(name string) error { return c.end(ctx, name) }); err != nil {
		return err
	}
	if !keep {
		if c.stranger() == "" {
			if err := c.removeNetwork(ctx); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(c.StateDir); err != nil {
			return fmt.Errorf("remove state: %w", err)
		}
		_ = os.Remove(c.lockFile()) // an empty file at worst
		return nil
	}
	return c.forget(hosts)
}

// forget removes the state of hosts and control plane, but not the storage's.
func (c *Cluster) forget(hosts []string) error {
	var errs []error
	for _, dir := range []string{"etcd", "disks", "loaded", "pki", "kubeconfig"} {
		errs = append(errs, os.RemoveAll(c.path(dir)))
	}
	for _, name := range hosts {
		logs, err := filepath.Glob(filepath.Join(c.LogDir(), name+"-*.log"))
		errs = append(errs, err)
		for _, f := range append(logs, filepath.Join(c.LogDir(), name+".log"), c.control(name), filepath.Join(c.runDir(), name+".json")) {
			errs = append(errs, os.RemoveAll(f))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove state: %w", err)
	}
	return nil
}
