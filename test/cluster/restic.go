package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	resticImage      = "stash.local/restic:1"
	resticDockerfile = "FROM " + baseImage + `
RUN apt-get update && apt-get install -y --no-install-recommends restic && rm -rf /var/lib/apt/lists/*
`
)

// ResticPath returns a program that is the restic of Debian trixie (0.18) and
// runs on this machine, whatever release it has itself. It comes from an image
// of its own that is built when it is absent.
func (c *Cache) ResticPath(ctx context.Context) (string, error) {
	path := filepath.Join(c.dir, "bin", "restic")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	dir := filepath.Join(c.dir, "restic")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	dockerfile := filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(dockerfile, []byte(resticDockerfile), 0o600); err != nil {
		return "", fmt.Errorf("write Dockerfile: %w", err)
	}
	if _, err := c.BuildImage(ctx, dockerfile, dir, resticImage); err != nil {
		return "", err
	}
	rootfs, err := c.ImageRootFS(ctx, resticImage)
	if err != nil {
		return "", err
	}
	return path, WrapProgram(rootfs, "/usr/bin/restic", path)
}

// WrapProgram writes an executable to path that runs a program of an unpacked
// image on this machine with the image's own loader and libraries. Unlike in a
// container, it sees the machine's files.
func WrapProgram(rootfs, program, path string) error {
	loader, err := findLoader(rootfs)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(rootfs, program)); err != nil {
		return fmt.Errorf("find program in image: %w", err)
	}
	libraries, err := filepath.Glob(filepath.Join(rootfs, "usr/lib/*-linux-gnu*"))
	if err != nil || len(libraries) == 0 {
		return errors.Join(fmt.Errorf("find libraries in %s: none", rootfs), err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' --library-path '%s' '%s' \"$@\"\n", loader, libraries[0], filepath.Join(rootfs, program))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := os.WriteFile(path+".new", []byte(script), 0o755); err != nil {
		return fmt.Errorf("write wrapper: %w", err)
	}
	return os.Rename(path+".new", path)
}

func findLoader(rootfs string) (string, error) {
	for _, pattern := range []string{"usr/lib64/ld-linux-*.so.*", "usr/lib/ld-linux-*.so.*"} {
		found, err := filepath.Glob(filepath.Join(rootfs, pattern))
		if err != nil {
			return "", fmt.Errorf("find loader: %w", err)
		}
		if len(found) == 0 {
			continue
		}
		// It may be a link that means a path inside of the image.
		target, err := os.Readlink(found[0])
		if err != nil || !filepath.IsAbs(target) {
			return found[0], nil //nolint:nilerr // a file, or a link that works as it is
		}
		return filepath.Join(rootfs, target), nil
	}
	return "", fmt.Errorf("find loader: %s has none", rootfs)
}
