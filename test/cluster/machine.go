package cluster

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// requirement is a file that a Debian package provides.
type requirement struct {
	// command is looked up in PATH unless it is an absolute path.
	command string
	pkg     string
}

// requirements is the table of what has to be installed.
func requirements() []requirement {
	return []requirement{
		{"ip", "iproute2"},
		{"nsenter", "util-linux"},
		{"etcd", "etcd-server"},
		{"containerd", "containerd"},
		{"ctr", "containerd"},
		{"runc", "runc"},
		{"/usr/lib/cni/bridge", "containernetworking-plugins"},
		{"nft", "nftables"},
		{"iptables", "iptables"},
		{"conntrack", "conntrack"},
		{"ethtool", "ethtool"},
		{"socat", "socat"},
		{"buildah", "buildah"},
		// Newer buildahs look for it whether or not they need a network.
		{"/usr/lib/podman/netavark", "netavark"},
		{"mmdebstrap", "mmdebstrap"},
		{busybox, "busybox-static"},
		// Derivatives have keys of their own.
		{"/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"},
	}
}

const busybox = "/bin/busybox"

// equip checks the machine and installs the packages that are missing.
func (c *Cache) equip(ctx context.Context) error {
	if err := checkMachine(); err != nil {
		return err
	}
	if err := completePath(); err != nil {
		return err
	}
	return c.install(ctx, requirements())
}

// install installs the packages that are missing of a list.
func (c *Cache) install(ctx context.Context, list []requirement) error {
	if len(missingPackages(list)) == 0 {
		return nil
	}
	unlock, err := lock(ctx, filepath.Join(c.dir, "build.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	return c.installPackages(ctx, list)
}

// completePath adds the folders that su and cron leave out of root's PATH;
// most of what is installed is there.
func completePath() error {
	path := filepath.SplitList(os.Getenv("PATH"))
	all := path
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	if len(all) == len(path) {
		return nil
	}
	return os.Setenv("PATH", strings.Join(all, string(filepath.ListSeparator)))
}

// checkMachine tells early and clearly what this machine is not.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return errors.New("not root: clusters and images need it, for name spaces, a bridge and cgroups; run it again with sudo")
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil || !isDebian(string(release)) {
		return errors.New("not Debian, nor a derivative: clusters and images need its packages; use a Debian machine or virtual machine")
	}
	return nil
}

// isDebian reads the text of /etc/os-release.
func isDebian(release string) bool {
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key != "ID" && key != "ID_LIKE" {
			continue
		}
		for name := range strings.FieldsSeq(strings.Trim(value, `"'`)) {
			if name == "debian" {
				return true
			}
		}
	}
	return false
}

// checkKernel tries what the kernel has to offer, in a network name space that
// is gone afterwards.
func checkKernel(ctx context.Context) error {
	for _, probe := range []struct{ what, script string }{
		{"name spaces", "true"},
		{"bridges (CONFIG_BRIDGE)", "ip link add b0 type bridge"},
		{"virtual Ethernet pairs (CONFIG_VETH)", "ip link add v0 type veth peer name v1"},
		{"nftables (CONFIG_NF_TABLES)", "nft add table ip stash"},
		{"overlayfs (CONFIG_OVERLAY_FS)", "modprobe -q overlay; grep -qw overlay /proc/filesystems"},
	} {
		cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "sh", "-c", probe.script)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("run a cluster: this kernel (or container) does not allow %s: %w: %s", probe.what, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// missingPackages returns the packages whose files are not there.
func missingPackages(list []requirement) []string {
	var missing []string
	seen := map[string]bool{}
	for _, r := range list {
		if seen[r.pkg] || present(r.command) {
			continue
		}
		seen[r.pkg] = true
		missing = append(missing, r.pkg)
	}
	return missing
}

func present(command string) bool {
	if command == busybox {
		return isStatic(busybox)
	}
	if filepath.IsAbs(command) { // it may be a pattern: some folders have a version
		found, err := filepath.Glob(command)
		return err == nil && len(found) > 0
	}
	_, err := exec.LookPath(command)
	return err == nil
}

// isStatic tells whether a program runs without any library: only then it
// works alone in an image.
func isStatic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

// installPackages installs what is missing and starts none of it.
func (c *Cache) installPackages(ctx context.Context, list []requirement) error {
	missing := missingPackages(list)
	if len(missing) == 0 {
		return nil
	}
	c.logf("installing Debian packages: %s", strings.Join(missing, " "))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	enable, err := forbidServices()
	if err != nil {
		return err
	}
	defer enable()
	if err := c.awaitApt(ctx, "/var/lib/apt/lists/lock"); err != nil {
		return err
	}
	if err := c.run(ctx, "apt", "apt-get", "update", "-q"); err != nil {
		return err
	}
	args := append([]string{"-o", "DPkg::Lock::Timeout=300", "install", "-y", "-q", "--no-install-recommends"}, missing...)
	if err := c.run(ctx, "apt", "apt-get", args...); err != nil {
		return err
	}
	if still := missingPackages(list); len(still) > 0 {
		return fmt.Errorf("install packages: %s installed, but what they provide is not in PATH (%s)", strings.Join(still, " "), os.Getenv("PATH"))
	}
	return c.disableServices(ctx, missing)
}

// awaitApt waits while another process holds a lock of apt's: a machine that
// has just booted gets its lists by itself, and apt-get refuses to wait for that.
func (c *Cache) awaitApt(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil // apt has never run here
	}
	defer f.Close()
	for told := false; ; told = true {
		held := syscall.Flock_t{Type: syscall.F_WRLCK}
		if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &held); err != nil || held.Type == syscall.F_UNLCK {
			return nil // if it is locked all the same, apt-get will say so
		}
		if !told {
			c.logf("waiting for another apt (process %d)", held.Pid)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another apt (process %d): %w", held.Pid, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

const (
	policy = "/usr/sbin/policy-rc.d"
	// policyText says whose it is, should nobody be left to remove it.
	policyText = "#!/bin/sh\n# test/cluster of Stash: no service starts while it installs packages\nexit 101\n"
)

// forbidServices keeps packages from starting their services (etcd,
// containerd) while they are installed. A policy that is there already is the
// owner's and stays, unless it is ours, of a run that was killed.
func forbidServices() (undo func(), err error) {
	if text, err := os.ReadFile(policy); err == nil && string(text) == policyText {
		return func() { _ = os.Remove(policy) }, nil
	}
	f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if os.IsExist(err) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keep services off: %w", err)
	}
	_, err = f.WriteString(policyText)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("keep services off: %w", err)
	}
	return func() { _ = os.Remove(policy) }, nil // worst case, the next run meets it
}

// disableServices keeps newly installed services from starting at the next
// boot; machines without systemd start none.
func (c *Cache) disableServices(ctx context.Context, installed []string) error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil //nolint:nilerr // no systemd, nothing to disable
	}
	for _, pkg := range installed {
		unit := map[string]string{"etcd-server": "etcd.service", "containerd": "containerd.service"}[pkg]
		if unit == "" {
			continue
		}
		if err := c.run(ctx, "apt", "systemctl", "disable", "--now", unit); err != nil {
			return err
		}
	}
	return nil
}

// lock takes an exclusive lock on a file and waits for it.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing frees the lock in any case
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for lock %s: %w", path, ctx.Err()), f.Close())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
