package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/test/cluster"
	"github.com/seed-731df569/stash/test/e2e/install"
)

//go:embed manifests/*.yaml
var manifests embed.FS

const (
	root      = "." // of the module: make runs us there
	namespace = "bench"
	bucket    = "bench"
	// patience is how long the cluster may take to do something, on a busy machine.
	patience = 3 * time.Minute
)

// site is the cluster with Stash in it.
type site struct {
	options

	cluster *cluster.Cluster
	kubectl install.Kubectl
	client  client.WithWatch
	// build changes with the image's content.
	build string
}

// newSite brings it up. The function that it returns removes what it made.
func newSite(ctx context.Context, o options) (s *site, remove func() error, err error) {
	remove = func() error { return nil }
	c, err := cluster.Open(o.cluster)
	fresh := err != nil
	if fresh {
		c, err = cluster.New(cluster.Config{Name: o.cluster, Net: o.net, Nodes: o.nodes, Storage: true})
		if err != nil {
			return nil, remove, err
		}
	}
	c.SetLog(o.log)
	if fresh && !o.keep {
		remove = func() error { return c.Down(context.WithoutCancel(ctx)) }
	}
	if err := c.Up(ctx); err != nil {
		return nil, remove, err
	}
	s = &site{options: o, cluster: c, kubectl: install.Kubectl{Program: c.Cache().Kubectl(), Kubeconfig: c.Kubeconfig()}}
	if s.client, err = newClient(c.Kubeconfig()); err != nil {
		return nil, remove, err
	}
	return s, remove, s.install(ctx)
}

func newClient(kubeconfig string) (client.WithWatch, error) {
	log.SetLogger(logr.Discard())
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), v1beta1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return c, nil
}

// install installs deploy/ as it is: a benchmark has no settings of its own.
func (s *site) install(ctx context.Context) error {
	archive, err := install.Build(ctx, s.cluster.Cache(), root, install.Image, "bench")
	if err != nil {
		return err
	}
	if err := s.cluster.LoadImage(ctx, archive); err != nil {
		return err
	}
	s.build = filepath.Base(archive)
	if err := install.Apply(ctx, s.kubectl, root, install.Options{Build: s.build}); err != nil {
		return err
	}
	if err := install.Wait(ctx, s.kubectl, patience.String()); err != nil {
		return err
	}
	if err := s.cluster.Storage().CreateBucket(bucket); err != nil {
		return err
	}
	s.logf("Stash is installed")
	return errors.Join(s.apply(ctx, "namespace.yaml", nil), s.apply(ctx, "blueprint.yaml", nil))
}

// apply applies a manifest.
func (s *site) apply(ctx context.Context, file string, more map[string]any) error {
	t, err := template.New(file).Option("missingkey=error").ParseFS(manifests, "manifests/"+file)
	if err != nil {
		return fmt.Errorf("parse manifest: %w", err)
	}
	storage := s.cluster.Storage()
	values := map[string]any{
		"Endpoint": storage.Endpoint(), "Bucket": bucket, "AccessKey": storage.AccessKey(), "SecretKey": storage.SecretKey(),
		"Image": install.Image, "Build": s.build,
	}
	maps.Copy(values, more)
	var text bytes.Buffer
	if err := t.Execute(&text, values); err != nil {
		return fmt.Errorf("render manifest: %w", err)
	}
	_, err = s.kubectl.Run(ctx, text.String(), "apply", "--namespace="+namespace, "--filename=-")
	return err
}

// eventually polls a check until it has no complaint.
func eventually(ctx context.Context, what string, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 250*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w: %w", what, err, last)
	}
	return nil
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (s *site) resticVersion(ctx context.Context, t *target) string {
	out, err := t.plainShell(ctx, "restic version")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(out) + ", from the image of deploy/Dockerfile"
}
