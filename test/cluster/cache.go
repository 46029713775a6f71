package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Cache builds and keeps what clusters share, below one folder:
//
//	bin/      programs, named by version and digest of their sources
//	images/   archives of the images that every node gets
//	built/    archives of BuildImage
//	rootfs/   unpacked images
//	buildah/  storage of buildah
//	log/      output of the builds
type Cache struct {
	dir string
	log io.Writer
}

// NewCache returns the cache in dir (CacheRoot() when empty). Steps that take
// long are announced on log (may be nil).
func NewCache(dir string, log io.Writer) *Cache {
	if dir == "" {
		dir = CacheRoot()
	}
	if log == nil {
		log = io.Discard
	}
	return &Cache{dir: dir, log: log}
}

// Build makes everything that clusters need, and nothing that is there
// already: packages, programs, images. The first time takes about 15 minutes
// on two cores.
func (c *Cache) Build(ctx context.Context) error {
	if _, err := c.prepare(ctx); err != nil {
		return err
	}
	return c.ensureBase(ctx)
}

// parts are the results of a build that a cluster starts with.
type parts struct {
	kubernetes, versitygw, host string
	images                      string // folder of archives
}

// prepare builds what Up needs; it takes milliseconds when all is there.
func (c *Cache) prepare(ctx context.Context) (parts, error) {
	if err := c.equip(ctx); err != nil {
		return parts{}, err
	}
	unlock, err := lock(ctx, filepath.Join(c.dir, "build.lock"))
	if err != nil {
		return parts{}, err
	}
	defer unlock()
	source, err := sourceDir()
	if err != nil {
		return parts{}, err
	}
	built := map[string]string{}
	for _, p := range programs() {
		path, err := c.buildProgram(ctx, source, p)
		if err != nil {
			return parts{}, err
		}
		built[p.name] = path
	}
	if err := linkKubectl(c.Kubectl(), built["kubernetes"]); err != nil {
		return parts{}, err
	}
	images, err := c.writeImages(built)
	if err != nil {
		return parts{}, err
	}
	return parts{kubernetes: built["kubernetes"], versitygw: built["versitygw"], host: built["host"], images: images}, nil
}

// Kubectl is the path of the kubectl of the cluster's version.
func (c *Cache) Kubectl() string { return filepath.Join(c.dir, "bin", "kubectl") }

func linkKubectl(link, target string) error {
	if now, err := os.Readlink(link); err == nil && now == target {
		return nil
	}
	temp := link + ".new"
	_ = os.Remove(temp) // usually absent
	if err := os.Symlink(target, temp); err != nil {
		return fmt.Errorf("link kubectl: %w", err)
	}
	return os.Rename(temp, link)
}

func (c *Cache) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.log, format+"\n", args...) // progress is for people only
}

// run runs a build step with its output in log/NAME.log; an error ends with
// the last lines of it.
func (c *Cache) run(ctx context.Context, name, program string, args ...string) error {
	return c.runCmd(ctx, name, exec.CommandContext(ctx, program, args...))
}

func (c *Cache) runCmd(ctx context.Context, name string, cmd *exec.Cmd) error {
	path := filepath.Join(c.dir, "log", name+".log")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make log folder: %w", err)
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open build log: %w", err)
	}
	defer out.Close()
	fmt.Fprintf(out, "--- %s %s\n", time.Now().Format(time.RFC3339), strings.Join(cmd.Args, " "))
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "DEBIAN_FRONTEND=noninteractive")
	// Children of a step that is given up must not hold up its end.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w%s", strings.Join(cmd.Args, " "), errors.Join(err, ctx.Err()), logTail(path))
	}
	return nil
}

// logTail returns the last lines of a log file for an error's text.
func logTail(path string) string {
	const lines, width, size = 15, 300, 16 << 10
	f, err := os.Open(path)
	if err != nil {
		return fmt.Sprintf("\nno log: %v", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > size {
		if _, err := f.Seek(-size, io.SeekEnd); err != nil {
			return fmt.Sprintf("\nread log: %v", err)
		}
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return fmt.Sprintf("\nread log: %v", err)
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		if len(line) > width {
			all[i] = strings.ToValidUTF8(line[:width], "") + " …"
		}
	}
	return fmt.Sprintf("\nend of %s:\n  %s", path, strings.Join(all, "\n  "))
}
