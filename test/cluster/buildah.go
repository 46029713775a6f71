package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	baseImage   = "docker.io/library/debian:trixie-slim"
	baseRelease = "trixie"
)

// buildah prepares a call of buildah on the cache's own storage. It runs in a
// mount name space of its own, since its storage driver leaves mounts behind.
func (c *Cache) buildah(ctx context.Context, args ...string) *exec.Cmd {
	root := filepath.Join(c.dir, "buildah")
	args = slices.Concat([]string{"--root", filepath.Join(root, "root"), "--runroot", filepath.Join(root, "run"), "--storage-driver", "overlay"}, args)
	cmd := exec.CommandContext(ctx, "buildah", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

func (c *Cache) runBuildah(ctx context.Context, name string, args ...string) error {
	return c.runCmd(ctx, name, c.buildah(ctx, args...))
}

func (c *Cache) buildahOutput(ctx context.Context, args ...string) (string, error) {
	cmd := c.buildah(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run buildah %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// ensureBase makes the Debian image that Dockerfiles build on, from Debian's
// packages.
func (c *Cache) ensureBase(ctx context.Context) error {
	unlock, err := lock(ctx, filepath.Join(c.dir, "buildah.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := c.buildahOutput(ctx, "inspect", "--type", "image", "--format", "{{.FromImageID}}", baseImage); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	c.logf("making the image %s from Debian packages: takes about 30 seconds, once", baseImage)
	dir := filepath.Join(c.dir, "buildah")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make image storage: %w", err)
	}
	tar := filepath.Join(dir, "base.tar")
	// The documentation goes, as in the image of this name that people pull.
	if err := c.run(ctx, "base", "mmdebstrap", "--variant=minbase", "--include=ca-certificates",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		baseRelease, tar); err != nil {
		return err
	}
	const container = "stash-base"
	_, _ = c.buildahOutput(ctx, "rm", container) // usually absent
	for _, args := range [][]string{
		{"from", "--name", container, "scratch"},
		{"add", container, tar, "/"},
		{"config", "--cmd", "bash", container},
		{"commit", "--rm", container, baseImage},
	} {
		if err := c.runBuildah(ctx, "base", args...); err != nil {
			return err
		}
	}
	return os.Remove(tar)
}

// BuildImage builds a Dockerfile as "docker build" would and returns an archive
// of the image (docker save format) for LoadImage. FROM may name
// docker.io/library/debian:trixie-slim, "scratch", and images built before.
// Steps whose input is unchanged are reused: a repeated build takes about a
// second.
func (c *Cache) BuildImage(ctx context.Context, dockerfile, contextDir, ref string) (string, error) {
	if err := c.equip(ctx); err != nil {
		return "", err
	}
	if err := c.ensureBase(ctx); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(c.dir, "buildah.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	begin := time.Now()
	args, err := buildLimits()
	if err != nil {
		return "", err
	}
	args = append([]string{"bud", "--isolation", "chroot", "--pull-never", "--layers", "--network", "host", "-f", dockerfile, "-t", ref}, args...)
	if err := c.runBuildah(ctx, "image", append(args, contextDir)...); err != nil {
		return "", fmt.Errorf("build image %s: %w", ref, err)
	}
	id, err := c.buildahOutput(ctx, "inspect", "--type", "image", "--format", "{{.FromImageID}}", ref)
	if err != nil {
		return "", err
	}
	file, err := c.export(ctx, ref, id)
	if err != nil {
		return "", err
	}
	c.logf("built image %s in %s", ref, time.Since(begin).Round(100*time.Millisecond))
	return file, nil
}

// buildLimits are the limits for the steps of a build: what may be had here at
// most, since newer buildahs ask for a million of each, and fail where root may
// not raise limits.
func buildLimits() ([]string, error) {
	var args []string
	for _, l := range []struct {
		name     string
		resource int
	}{{"nofile", unix.RLIMIT_NOFILE}, {"nproc", unix.RLIMIT_NPROC}} {
		var now unix.Rlimit
		if err := unix.Getrlimit(l.resource, &now); err != nil {
			return nil, fmt.Errorf("read limit %s: %w", l.name, err)
		}
		most := min(now.Max, 1<<20)
		args = append(args, "--ulimit", fmt.Sprintf("%s=%d:%d", l.name, most, most))
	}
	return args, nil
}

// export writes the archive of an image unless it is there, and removes those
// of older images of the reference. Layers stay uncompressed: packing and
// unpacking them would take longer than all the rest.
func (c *Cache) export(ctx context.Context, ref, id string) (string, error) {
	dir := filepath.Join(c.dir, "built")
	prefix := filepath.Join(dir, url.QueryEscape(ref)+"@")
	file := prefix + id[:12] + ".tar"
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	older, err := filepath.Glob(prefix + "*")
	if err != nil {
		return "", fmt.Errorf("list archives: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make archive folder: %w", err)
	}
	temp := file + ".new"
	_ = os.Remove(temp) // usually absent
	if err := c.runBuildah(ctx, "image", "push", ref, "docker-archive:"+temp+":"+ref); err != nil {
		return "", fmt.Errorf("export image %s: %w", ref, err)
	}
	if err := os.Rename(temp, file); err != nil {
		return "", fmt.Errorf("export image %s: %w", ref, err)
	}
	for _, f := range older {
		_ = os.Remove(f) // only garbage
	}
	return file, nil
}

// ImageRootFS unpacks an image that BuildImage has built and returns the
// folder. It is shared and kept: do not write there.
func (c *Cache) ImageRootFS(ctx context.Context, ref string) (string, error) {
	unlock, err := lock(ctx, filepath.Join(c.dir, "buildah.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	id, err := c.buildahOutput(ctx, "inspect", "--type", "image", "--format", "{{.FromImageID}}", ref)
	if err != nil {
		return "", fmt.Errorf("find image %s: %w", ref, err)
	}
	dir := filepath.Join(c.dir, "rootfs", id[:12])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	temp := dir + ".new"
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o755)); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	// One mount name space for the three steps: the mount is gone with it.
	const script = `set -e; d=$1; out=$2; ref=$3; set -- --root "$d/root" --runroot "$d/run" --storage-driver overlay
c=$(buildah "$@" from --pull-never "$ref"); m=$(buildah "$@" mount "$c"); cp -a "$m/." "$out/"; buildah "$@" rm "$c"`
	cmd := exec.CommandContext(ctx, "sh", "-c", script, "unpack", filepath.Join(c.dir, "buildah"), temp, ref)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := c.runCmd(ctx, "rootfs", cmd); err != nil {
		return "", fmt.Errorf("unpack image %s: %w", ref, err)
	}
	if err := os.Rename(temp, dir); err != nil {
		return "", fmt.Errorf("unpack image %s: %w", ref, err)
	}
	return dir, nil
}
