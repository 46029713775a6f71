package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// program is an executable that is built from source: a third party's, pinned
// by a nested module so that the product's go.mod stays clean, or our own.
type program struct {
	name string
	// dir is where it is built, below test/cluster.
	dir string
	// pkg is the package to build, relative to dir or by import path.
	pkg string
	// module is the requirement in dir/go.mod that gives the version; without
	// it, the program is our own.
	module string
	// sources are folders, below test/cluster, whose files decide whether a
	// program that was built earlier is up to date.
	sources []string
	// takes is what a first build takes on two cores, for the person waiting.
	takes string
}

// programs is the table of what Build compiles.
func programs() []program {
	return []program{
		{name: "host", dir: ".", pkg: "./cmd/host", sources: []string{"cmd/host", "internal/gate", "internal/host", "internal/preload"}, takes: "10 seconds"},
		{name: "pause", dir: ".", pkg: "./cmd/pause", sources: []string{"cmd/pause"}, takes: "10 seconds"},
		nested("kubernetes", ".", "k8s.io/kubernetes", "8 minutes"),
		nested("coredns", ".", "github.com/coredns/coredns", "90 seconds"),
		nested("localpath", "github.com/rancher/local-path-provisioner", "github.com/rancher/local-path-provisioner", "75 seconds"),
		nested("versitygw", "github.com/versity/versitygw/cmd/versitygw", "github.com/versity/versitygw", "1 minute"),
	}
}

// nested is a program of somebody else, pinned by a module of its own.
func nested(name, pkg, module, takes string) program {
	dir := "binaries/" + name
	return program{name: name, dir: dir, pkg: pkg, module: module, sources: []string{dir}, takes: takes}
}

// CertManager builds cert-manager's controllers, which no cluster starts by
// itself, and returns the program and the folder of its CRDs.
func (c *Cache) CertManager(ctx context.Context) (program, crds string, err error) {
	source, err := sourceDir()
	if err != nil {
		return "", "", err
	}
	unlock, err := lock(ctx, filepath.Join(c.dir, "build.lock"))
	if err != nil {
		return "", "", err
	}
	defer unlock()
	p := nested("certmanager", ".", "github.com/cert-manager/cert-manager", "2 minutes")
	if program, err = c.buildProgram(ctx, source, p); err != nil {
		return "", "", err
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", p.module)
	list.Dir = filepath.Join(source, p.dir)
	out, err := list.Output()
	if err != nil {
		return "", "", fmt.Errorf("find the CRDs of cert-manager: %w", err)
	}
	return program, filepath.Join(strings.TrimSpace(string(out)), "deploy", "crds"), nil
}

// buildProgram returns the path of the program; it compiles it unless one of
// the same version and sources is there.
func (c *Cache) buildProgram(ctx context.Context, source string, p program) (string, error) {
	version, err := p.version(source)
	if err != nil {
		return "", err
	}
	sum, err := p.digest(source)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.dir, "bin", fmt.Sprintf("%s-%s-%s", p.name, version, sum))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	c.logf("compiling %s %s: takes about %s on two cores, once; output in %s", p.name, version, p.takes, filepath.Join(c.dir, "log", p.name+".log"))
	begin := time.Now()
	// Beside the final name, so that a build that is cut off leaves no half
	// program there.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", p.ldflags(version), "-o", path+".new", p.pkg)
	cmd.Dir = filepath.Join(source, p.dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if err := c.runCmd(ctx, p.name, cmd); err != nil {
		return "", err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("keep program %s: %w", p.name, err)
	}
	c.logf("compiled %s in %s", p.name, time.Since(begin).Round(time.Second))
	return path, nil
}

// version reads the pinned version from the nested module.
func (p program) version(source string) (string, error) {
	if p.module == "" {
		return "dev", nil
	}
	path := filepath.Join(source, p.dir, "go.mod")
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read version of %s: %w", p.name, err)
	}
	match := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(p.module) + ` (v\S+)`).FindSubmatch(data)
	if match == nil {
		return "", fmt.Errorf("read version of %s: %s does not require %s", p.name, path, p.module)
	}
	return string(match[1]), nil
}

func (p program) ldflags(version string) string {
	flags := "-s -w"
	if p.name != "kubernetes" {
		return flags
	}
	// Without these, the API server believes to be v0.0.0 and refuses to work.
	number := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	for _, setting := range []string{"gitVersion=" + version, "gitMajor=" + number[0], "gitMinor=" + number[1], "gitCommit=0", "gitTreeState=clean"} {
		flags += " -X k8s.io/component-base/version." + setting
	}
	return flags
}

// digest tells apart programs of the same version but other sources.
func (p program) digest(source string) (string, error) {
	sum := sha256.New()
	for _, dir := range p.sources {
		entries, err := os.ReadDir(filepath.Join(source, dir))
		if err != nil {
			return "", fmt.Errorf("read sources of %s: %w", p.name, err)
		}
		for _, e := range entries { // sorted by name
			if e.IsDir() || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			if err := hashFile(sum, filepath.Join(source, dir, e.Name())); err != nil {
				return "", fmt.Errorf("read sources of %s: %w", p.name, err)
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:10], nil
}

func hashFile(w io.Writer, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s %d\n%s", filepath.Base(path), len(data), data)
	return err
}

const modulePath = "github.com/seed-731df569/stash"

// sourceDir returns the folder test/cluster of the checkout that the current
// folder belongs to: the programs' sources and pinned modules are there.
func sourceDir() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(data, []byte("module "+modulePath+"\n")) {
			return filepath.Join(dir, "test", "cluster"), nil
		}
		if dir == "/" {
			return "", fmt.Errorf("find the checkout of %s: neither %s nor a folder above it is one", modulePath, start)
		}
	}
}
