package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-731df569/stash/test/e2e/install"
)

const (
	namespace     = "demo"
	blueprintName = "demo-workloads"
	app           = "deployment/shop"
	data          = "/var/lib/shop"
)

//go:embed manifests
var manifests embed.FS

// demo is one run.
type demo struct {
	*place
	timer    *timer
	session  string
	snapshot string
	before   string
}

// up runs all steps.
func up(ctx context.Context) error {
	t := &timer{began: time.Now()}
	p, err := find(ctx, t)
	if err != nil {
		return err
	}
	d := &demo{place: p, timer: t}
	for _, s := range []func(context.Context) error{
		d.install, d.blueprint, d.application, d.appeared, d.sidecar, d.backup, d.disaster, d.restore, d.compare,
	} {
		if err := s(ctx); err != nil {
			return fmt.Errorf("step %d: %w%s", count, err, d.hint())
		}
	}
	step("Summary")
	t.table()
	fmt.Printf("\n   Everything is up to play with:\n\n   export KUBECONFIG=%s\n   alias kubectl=%s\n   kubectl get repo,bc,backupsessions,restoresessions -n %s\n\n   `make demo-down` removes it all.\n",
		d.kubectl.Kubeconfig, d.kubectl.Program, namespace)
	return nil
}

// hint says where to look after a failure.
func (d *demo) hint() string {
	return fmt.Sprintf("\n\nTo look around:\n  export KUBECONFIG=%s\n  %s get pods,repo,bc,backupsessions,restoresessions,events -n %s\n  %s logs -n stash -l app.kubernetes.io/component=operator --tail=50",
		d.kubectl.Kubeconfig, d.kubectl.Program, namespace, d.kubectl.Program)
}

// kube runs kubectl and shows both sides.
func (d *demo) kube(ctx context.Context, args ...string) error {
	out, err := d.kubectl.Run(ctx, "", args...)
	if err != nil {
		return err //nolint:wrapcheck // it names the call
	}
	show("kubectl "+typed(args), out)
	return nil
}

// typed quotes arguments as a person would.
func typed(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if quoted[i] = a; strings.ContainsAny(a, " {}[]()*?&|>\"\\") {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// apply applies a manifest of the demo's and shows what the API server answered.
func (d *demo) apply(ctx context.Context, name string) error {
	raw, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	text := strings.NewReplacer(
		"@IMAGE@", d.image, "@ENDPOINT@", d.endpoint, "@BUCKET@", d.bucket, "@ID@", d.id, "@KEY@", d.key, "@SNAPSHOT@", d.snapshot,
	).Replace(string(raw))
	out, err := d.kubectl.Run(ctx, text, "apply", "-f", "-")
	if err != nil {
		return err //nolint:wrapcheck // it names the call
	}
	show("kubectl apply -f "+filepath.Join("test", "demo", "manifests", name), out)
	return nil
}

func (d *demo) install(ctx context.Context) error {
	step("Stash is installed, as a user does it", "Two replicas of one operator; its webhooks, its CA and its leader come by themselves.")
	return d.timer.time("install", func() error {
		if err := install.Apply(ctx, d.kubectl, root, install.Options{Image: d.image}); err != nil {
			return err //nolint:wrapcheck // it names the call
		}
		show("kubectl apply -k deploy", "…")
		if err := install.Wait(ctx, d.kubectl, "120s"); err != nil {
			return err //nolint:wrapcheck // it names the call
		}
		if err := d.webhooks(ctx); err != nil {
			return err
		}
		return d.kube(ctx, "get", "pods", "-n", "stash", "-o", "wide")
	})
}

// webhooks waits until the leader has made the webhook configurations.
func (d *demo) webhooks(ctx context.Context) error {
	return wait(ctx, time.Minute, "the webhook configurations", func() (bool, error) {
		out, err := d.kubectl.Run(ctx, "", "get", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "stash", "-o", "name", "--ignore-not-found")
		return strings.Count(out, "\n") == 2, err //nolint:wrapcheck // it names the call
	})
}

func (d *demo) blueprint(ctx context.Context) error {
	step("A cluster admin writes a BackupBlueprint, once", "It says where backups go, when, and how long they are kept. Variables are filled in for each target.")
	return errors.Join(d.apply(ctx, "0-namespace.yaml"), d.apply(ctx, "1-blueprint.yaml"))
}

func (d *demo) application(ctx context.Context) error {
	step("An application owner deploys a shop, with three annotations",
		"The warnings say what will appear. A mistake in them would be refused right here.")
	return d.timer.time("application up, with its data", func() error {
		if err := d.apply(ctx, "2-shop.yaml"); err != nil {
			return err
		}
		_, err := d.kubectl.Run(ctx, "", "rollout", "status", "-n", namespace, "--timeout=120s", app)
		return err //nolint:wrapcheck // it names the call
	})
}

func (d *demo) appeared(ctx context.Context) error {
	step("What the annotations expanded into", "The Repository outlives the application: it is the way back.")
	err := wait(ctx, time.Minute, "the Repository", func() (bool, error) {
		out, err := d.kubectl.Run(ctx, "", "get", "repository", "deploy-shop", "-n", namespace, "-o", `jsonpath={.status.conditions[?(@.type=="BackendRepositoryInitialized")].status}`)
		return out == "True", err //nolint:wrapcheck // it names the call
	})
	if err != nil {
		return err
	}
	return d.kube(ctx, "get", "repositories,backupconfigurations", "-n", namespace)
}

func (d *demo) sidecar(ctx context.Context) error {
	step("The first pod already has its sidecar; the Deployment has one label on its pod template", "Nothing rolled twice, and a GitOps tool sees no drift.")
	return d.kube(ctx, "get", "pods", "-n", namespace, "-l", "app=shop", "-o",
		"custom-columns=POD:.metadata.name,SIDECARS:.spec.initContainers[?(@.restartPolicy=="Always")].name,CONTAINERS:.spec.containers[*].name,LABEL:.metadata.labels.stash\\.appscode\\.com/inject")
}

// wait asks again and again until check is true. Failing calls are part of waiting.
func wait(ctx context.Context, limit time.Duration, what string, check func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	for {
		ok, err := check()
		if ok && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("waited %s for %s", limit, what), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}
