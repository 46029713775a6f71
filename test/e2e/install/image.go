package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed-731df569/stash/test/cluster"
)

// Image is the reference of the image that is made of the module as it is.
const Image = "stash:dev"

// Build compiles the operator and the agent and builds an image from the module in root. It
// returns the image's archive, whose name changes with the image's content.
func Build(ctx context.Context, cache *cluster.Cache, root, image, version string) (archive string, err error) {
	dir, err := os.MkdirTemp("", "stash-image-")
	if err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, program := range []string{"stash", "stash-agent"} {
		if err := compile(ctx, root, version, "./cmd/"+program, filepath.Join(dir, "bin", program)); err != nil {
			return "", err
		}
	}
	archive, err = cache.BuildImage(ctx, filepath.Join(root, "deploy", "Dockerfile"), dir, image)
	if err != nil {
		return "", fmt.Errorf("build image: %w", err)
	}
	return archive, nil
}

// compile builds a static program, as `make build` does.
func compile(ctx context.Context, root, version, pkg, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", to, pkg) //nolint:gosec // arguments of our own
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	return nil
}
