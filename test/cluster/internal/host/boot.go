package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// linkFD is the pipe on which the parent says that eth0 has been plugged in.
const linkFD = 3

// Boot is what process 1 of a host runs; it returns only with an error.
func Boot(specPath string) error {
	spec, err := readSpec(specPath)
	if err != nil {
		return err
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("boot host %s: not process 1 of its own namespace", spec.Name)
	}
	link := os.NewFile(linkFD, "link")
	if n, err := link.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("wait for the network link: %w", err)
	}
	if err := link.Close(); err != nil {
		return fmt.Errorf("close link pipe: %w", err)
	}
	if err := mountAll(spec); err != nil {
		return err
	}
	if err := writeFiles(spec.Files); err != nil {
		return err
	}
	if err := configureNetwork(spec); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(spec.Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	return newSupervisor(spec).run()
}

// mountAll gives the host its file systems.
func mountAll(spec Spec) error {
	// Nothing that is mounted here may be seen outside, or outlive the host.
	if err := mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC); err != nil {
		return err
	}
	if spec.Disk != "" {
		return enterDisk(spec)
	}
	return mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC)
}

// enterDisk makes the folder spec.Disk the root file system. Programs come from
// the machine, read-only; everything else is the host's own and stays on its
// disk, so that no hostPath volume and no daemon reaches the machine's files.
func enterDisk(spec Spec) error {
	root := spec.Disk
	for _, d := range []string{"dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var/lib", "var/log", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return fmt.Errorf("lay out disk: %w", err)
		}
	}
	if err := mount(root, root, "", syscall.MS_BIND); err != nil {
		return err
	}
	if err := bindPrograms(root); err != nil {
		return err
	}
	for _, d := range append([]string{"/dev", "/sys"}, spec.Shared...) {
		if err := bindSame(root, d); err != nil {
			return err
		}
	}
	if err := mount("proc", root+"/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC); err != nil {
		return err
	}
	// As on a real machine, these are empty after a boot.
	for _, d := range []string{"/run", "/tmp"} {
		if err := mount("tmpfs", root+d, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV); err != nil {
			return err
		}
	}
	if err := os.Chmod(root+"/tmp", 0o777|os.ModeSticky); err != nil {
		return fmt.Errorf("open /tmp: %w", err)
	}
	return pivot(root)
}

// bindPrograms shows the machine's programs, libraries and the part of /etc
// that finding them needs.
func bindPrograms(root string) error {
	for _, d := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc/alternatives", "/etc/ssl", "/etc/ld.so.conf.d"} {
		info, err := os.Lstat(d)
		if err != nil {
			continue // not every machine has each of them
		}
		if info.Mode()&os.ModeSymlink != 0 {
			err = relink(d, root+d)
		} else {
			err = bindReadOnly(root, d)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range []string{"passwd", "group", "nsswitch.conf", "ld.so.conf", "ld.so.cache", "protocols", "services"} {
		data, err := os.ReadFile("/etc/" + f)
		if err != nil {
			continue // not every machine has each of them
		}
		if err := os.WriteFile(root+"/etc/"+f, data, 0o644); err != nil {
			return fmt.Errorf("copy /etc/%s: %w", f, err)
		}
	}
	return relinkTo("/run", root+"/var/run")
}

func relink(from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return fmt.Errorf("read link: %w", err)
	}
	return relinkTo(target, to)
}

func relinkTo(target, link string) error {
	if err := os.Symlink(target, link); err != nil && !os.IsExist(err) {
		return fmt.Errorf("lay out disk: %w", err)
	}
	return nil
}

func bindSame(root, dir string) error {
	if err := os.MkdirAll(root+dir, 0o755); err != nil {
		return fmt.Errorf("lay out disk: %w", err)
	}
	return mount(dir, root+dir, "", syscall.MS_BIND|syscall.MS_REC)
}

func bindReadOnly(root, dir string) error {
	if err := bindSame(root, dir); err != nil {
		return err
	}
	return mount("", root+dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY)
}

// pivot makes root the root of the mount namespace and drops the old one.
func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return fmt.Errorf("enter disk: %w", err)
	}
	// The old root is stacked on the new one and then taken away.
	if err := syscall.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot to %s: %w", root, err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("drop the machine's root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("enter disk: %w", err)
	}
	// Bidirectional mount propagation between the host and its containers.
	return mount("", "/", "", syscall.MS_SHARED|syscall.MS_REC)
}

func mount(source, target, kind string, flags uintptr) error {
	if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
		return fmt.Errorf("mount %q on %s: %w", source, target, err)
	}
	return nil
}

func writeFiles(files map[string]string) error {
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make folder of %s: %w", path, err)
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(path, ".key") || strings.HasSuffix(path, ".kubeconfig") {
			mode = 0o600
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
	}
	return nil
}

// configureNetwork brings up lo and eth0.
func configureNetwork(spec Spec) error {
	var batch strings.Builder
	fmt.Fprintf(&batch, "link set lo up\nlink set eth0 address %s\naddr add %s dev eth0\nlink set eth0 up\nroute add default via %s\n", spec.MAC, spec.Address, spec.Gateway)
	for dst, via := range spec.Routes {
		fmt.Fprintf(&batch, "route add %s via %s\n", dst, via)
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("configure network: %w: %s", err, out)
	}
	if !spec.Forward {
		return nil
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600); err != nil {
		return fmt.Errorf("switch on routing: %w", err)
	}
	return nil
}
