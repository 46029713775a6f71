package cluster

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os/exec"
	"strings"
	"text/template"
	"time"
)

//go:embed manifests/*.yaml
var manifests embed.FS

// addon is what runs in every cluster with nodes.
type addon struct {
	file, namespace, name string
}

// addons is the table of them.
func addons() []addon {
	return []addon{
		{"coredns.yaml", "kube-system", "coredns"},
		{"local-path.yaml", "local-path-storage", "local-path-provisioner"},
	}
}

// applyAddons installs or repairs the addons.
func (c *Cluster) applyAddons(ctx context.Context) error {
	if c.Nodes == 0 {
		return nil
	}
	var all bytes.Buffer
	for _, a := range addons() {
		if err := c.render(&all, a.file); err != nil {
			return err
		}
		all.WriteString("\n---\n")
	}
	ctx, cancel := context.WithTimeout(ctx, addonLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.cache.Kubectl(), "--kubeconfig", c.Kubeconfig(), "apply", "--server-side", "--force-conflicts", "-f", "-")
	cmd.Stdin = &all
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apply addons: %w: %s%s", err, strings.TrimSpace(string(out)), logTail(c.logFile(ControlPlane, "kube-apiserver")))
	}
	return nil
}

// render fills in a manifest.
func (c *Cluster) render(out *bytes.Buffer, file string) error {
	t, err := template.ParseFS(manifests, "manifests/"+file)
	if err != nil {
		return fmt.Errorf("parse manifest %s: %w", file, err)
	}
	err = t.Execute(out, map[string]any{
		"DNS":          c.dnsServiceIP(),
		"Replicas":     min(2, c.Nodes),
		"CoreDNSImage": corednsImage,
		"LocalPath":    localpathImage,
		"Busybox":      busyboxImage,
		"VolumeDir":    VolumeDir,
	})
	if err != nil {
		return fmt.Errorf("render manifest %s: %w", file, err)
	}
	return nil
}
