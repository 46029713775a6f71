package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-731df569/stash/test/cluster/internal/archive"
)

// Images that every node has. They are never pulled.
const (
	pauseImage     = "stash.local/pause:1"
	busyboxImage   = "docker.io/library/busybox:latest"
	corednsImage   = "stash.local/coredns:1"
	localpathImage = "stash.local/local-path-provisioner:1"
)

// writeImages writes the archives of the images that every node gets and
// returns their folder; its name depends on the content.
func (c *Cache) writeImages(built map[string]string) (string, error) {
	sum := sha256.New()
	info, err := os.Stat(busybox)
	if err != nil {
		return "", fmt.Errorf("read busybox: %w", err)
	}
	fmt.Fprintf(sum, "1 %s %s %s %d", built["pause"], built["coredns"], built["localpath"], info.ModTime().UnixNano())
	dir := filepath.Join(c.dir, "images", hex.EncodeToString(sum.Sum(nil))[:10])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	temp := dir + ".new"
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o755)); err != nil {
		return "", fmt.Errorf("make image folder: %w", err)
	}
	links, err := busyboxEntries()
	if err != nil {
		return "", err
	}
	for _, image := range []archive.Image{
		{Ref: pauseImage, Entries: []archive.Entry{{Path: "pause", Source: built["pause"]}}, Entrypoint: []string{"/pause"}, User: "65535:65535"},
		{Ref: busyboxImage, Entries: links, Cmd: []string{"sh"}},
		{Ref: corednsImage, Entries: []archive.Entry{{Path: "coredns", Source: built["coredns"]}}, Entrypoint: []string{"/coredns"}},
		{Ref: localpathImage, Entries: []archive.Entry{{Path: "usr/bin/local-path-provisioner", Source: built["localpath"]}}, Entrypoint: []string{"/usr/bin/local-path-provisioner"}},
	} {
		if err := archive.Write(filepath.Join(temp, url.QueryEscape(image.Ref)+".tar"), image); err != nil {
			return "", err
		}
	}
	if err := os.Rename(temp, dir); err != nil {
		return "", fmt.Errorf("keep images: %w", err)
	}
	return dir, nil
}

// busyboxEntries lists busybox with a link for each of its commands.
func busyboxEntries() ([]archive.Entry, error) {
	out, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list commands of busybox: %w", err)
	}
	entries := []archive.Entry{{Path: "tmp", Dir: true}, {Path: "bin/busybox", Source: busybox}}
	for name := range strings.FieldsSeq(string(out)) {
		if name != "busybox" {
			entries = append(entries, archive.Entry{Path: "bin/" + name, Link: "busybox"})
		}
	}
	return entries, nil
}

// loadedDir holds the archives that LoadImage remembers, one for each
// reference.
func (c *Cluster) loadedDir() string { return c.path("loaded") }

// remember keeps an archive for every node of now and later, in place of an
// older one of the same reference. It returns the kept file.
func (c *Cluster) remember(ctx context.Context, file string) (string, error) {
	ref, id, err := archive.Identify(file)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(c.loadedDir(), 0o755); err != nil {
		return "", fmt.Errorf("remember image: %w", err)
	}
	unlock, err := lock(ctx, c.path("loaded.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	prefix := filepath.Join(c.loadedDir(), url.QueryEscape(ref)+"@")
	kept := prefix + id[:min(12, len(id))] + ".tar"
	if _, err := os.Stat(kept); err == nil {
		return kept, nil
	}
	older, err := filepath.Glob(prefix + "*.tar")
	if err != nil {
		return "", fmt.Errorf("list images: %w", err)
	}
	if err := linkOrCopy(file, kept); err != nil {
		return "", fmt.Errorf("remember image %s: %w", ref, err)
	}
	for _, f := range older {
		if err := os.Remove(f); err != nil {
			return "", fmt.Errorf("forget older image: %w", err)
		}
	}
	return kept, nil
}

// linkOrCopy gives a file a second name that outlives the first.
func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	// Another file system.
	if out, err := exec.Command("cp", from, to+".new").CombinedOutput(); err != nil {
		return fmt.Errorf("copy archive: %w: %s", err, out)
	}
	return os.Rename(to+".new", to)
}

// LoadImage brings an image archive (docker save format, as BuildImage
// returns) to every node, under the reference that it carries. Nodes that are
// off, or that the cluster gets later, import it when they boot; Down forgets
// it. Loading an image that is there already takes milliseconds.
func (c *Cluster) LoadImage(ctx context.Context, file string) error {
	kept, err := c.remember(ctx, file)
	if err != nil {
		return err
	}
	p, err := c.cache.prepare(ctx)
	if err != nil {
		return err
	}
	return each(c.nodes(), func(name string) error { return c.importOn(ctx, p, name, kept) })
}

// importOn imports an image on a node that is on.
func (c *Cluster) importOn(ctx context.Context, p parts, node, kept string) error {
	marker := c.DiskPath(node, filepath.Join(markersDir, filepath.Base(kept)))
	begin := time.Now()
	loaded := false
	// A node that is just booting has no containerd yet, and then imports the
	// image by itself.
	err := c.until(ctx, importLimit, "image on "+node, c.logFile(node, "containerd"), func(ctx context.Context) (bool, error) {
		if _, err := os.Stat(marker); err == nil || !c.Powered(node) {
			return true, nil
		}
		loaded = true
		out, err := c.InHost(ctx, node, p.host, "import", containerdSocket, c.loadedDir(), markersDir).CombinedOutput()
		if err != nil {
			return false, fmt.Errorf("import: %w: %s", err, out)
		}
		return true, nil
	})
	if loaded && err == nil {
		c.logf("loaded image %s on %s in %s", filepath.Base(kept), node, time.Since(begin).Round(100*time.Millisecond))
	}
	return err
}
