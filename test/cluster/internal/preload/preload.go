// Package preload brings image archives into a node's containerd. A marker
// file for each archive, on the node's disk, remembers what is there already,
// so that a node that boots again imports only what is new.
package preload

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// perImage bounds the import of one archive.
const perImage = 2 * time.Minute

// Import imports every archive (*.tar) of a folder that has no marker yet. It
// runs on the node. An absent folder holds no archives.
func Import(socket, archives, markers string) error {
	files, err := filepath.Glob(filepath.Join(archives, "*.tar"))
	if err != nil {
		return fmt.Errorf("list archives: %w", err)
	}
	for _, f := range files {
		if err := one(socket, f, markers); err != nil {
			return err
		}
	}
	return nil
}

func one(socket, file, markers string) error {
	marker := filepath.Join(markers, filepath.Base(file))
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), perImage)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ctr", "-a", socket, "-n", "k8s.io", "images", "import", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import %s: %w: %s", filepath.Base(file), err, out)
	}
	if err := os.MkdirAll(markers, 0o755); err != nil {
		return fmt.Errorf("remember import: %w", err)
	}
	if err := forget(markers, filepath.Base(file)); err != nil {
		return err
	}
	return os.WriteFile(marker, nil, 0o600)
}

// forget removes the markers of other archives of the same reference
// (<reference>@<id>.tar): theirs is no longer the image of that name, and
// loading one of them again must import it again.
func forget(markers, name string) error {
	reference, _, found := strings.Cut(name, "@")
	if !found {
		return nil
	}
	entries, err := os.ReadDir(markers)
	if err != nil {
		return fmt.Errorf("list imported images: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), reference+"@") {
			if err := os.Remove(filepath.Join(markers, e.Name())); err != nil {
				return fmt.Errorf("forget older image: %w", err)
			}
		}
	}
	return nil
}
