package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-731df569/stash/test/e2e/install"
)

const (
	namespace = "stash-demo"
	blueprint = "stash-demo"
	// watched is the pace of the storage while a person watches: slow enough to see percents.
	watched = 12 << 20
)

//go:embed manifests/*.yaml
var manifests embed.FS

// demo is the state of one run.
type demo struct {
	place
	*screen

	before digest
}

type step struct {
	name string
	run  func(context.Context) error
}

func (d *demo) steps() []step {
	return []step{
		{"A cluster", func(ctx context.Context) error { return d.prepare(ctx, d.screen) }},
		{"Stash is installed", d.installs},
		{"An admin writes a blueprint, once", d.blueprint},
		{"A team annotates its Deployment", d.application},
		{"What has appeared", d.appeared},
		{"A backup, on schedule", d.backup},
		{"The disaster", d.disaster},
		{"The restore", d.restores},
		{"The same data?", d.compare},
	}
}

// run shows a kubectl command, runs it and shows what it says.
func (d *demo) run(ctx context.Context, args ...string) error {
	d.command("kubectl " + strings.Join(quoted(args), " "))
	out, err := d.kubectl().Run(ctx, "", args...)
	if err != nil {
		return err
	}
	d.result(out)
	return nil
}

// quoted writes arguments as a person types them.
func quoted(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if strings.ContainsAny(a, " {}|*;'\"$") {
			out[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return out
}

// apply shows a manifest, applies it and shows what kubectl says, warnings included.
func (d *demo) apply(ctx context.Context, file string, show bool) error {
	text, err := d.render(file)
	if err != nil {
		return err
	}
	if show {
		d.document("kubectl apply -f -", text)
	} else {
		d.say("Applied is test/demo/manifests/%s, a template, filled in for this cluster.", file)
	}
	out, err := d.kubectl().Run(ctx, text, "apply", "--filename=-")
	if err != nil {
		return err
	}
	d.result(out)
	return nil
}

func (d *demo) render(file string) (string, error) {
	t, err := template.ParseFS(manifests, "manifests/"+file)
	if err != nil {
		return "", fmt.Errorf("parse manifest: %w", err)
	}
	var out bytes.Buffer
	image := d.options().Image
	if image == "" {
		image = install.Image
	}
	if err := t.Execute(&out, map[string]any{"Bucket": d.bucket(), "Image": image, "Namespace": namespace, "Blueprint": blueprint}); err != nil {
		return "", fmt.Errorf("render manifest %s: %w", file, err)
	}
	return out.String(), nil
}

func (d *demo) installs(ctx context.Context) error {
	dir, err := root()
	if err != nil {
		return err
	}
	d.say("As kubectl apply -k does with a folder of yours that names the image; here it is the image just built.")
	if err := install.Apply(ctx, d.kubectl(), dir, d.options()); err != nil {
		return err
	}
	d.command("kubectl rollout status -n stash deployment/stash-operator")
	if err := install.Wait(ctx, d.kubectl(), "180s"); err != nil {
		return err
	}
	return d.run(ctx, "get", "pods", "-n", "stash", "-o", "wide")
}

func (d *demo) blueprint(ctx context.Context) error {
	d.say("What an annotation expands into: where backups go, how often they are taken, how long they are kept.\n")
	return d.apply(ctx, "blueprint.yaml", true)
}

func (d *demo) application(ctx context.Context) error {
	if err := d.leftovers(ctx); err != nil {
		return err
	}
	d.say("A shop with a few thousand real files in a volume (programs, libraries, texts), the Secret with the")
	d.say("keys of the storage, and three annotations of the Deployment: which blueprint, folder and volume.\n")
	if err := d.apply(ctx, "shop.yaml", false); err != nil {
		return err
	}
	if err := d.run(ctx, "rollout", "status", "-n", namespace, "deployment/shop", "--timeout=120s"); err != nil {
		return err
	}
	return d.run(ctx, "exec", "-n", namespace, "deploy/shop", "-c", "shop", "--", "du", "-sh", "/data")
}

// leftovers removes the application of an earlier run: a RestoreSession is done once.
func (d *demo) leftovers(ctx context.Context) error {
	out, err := d.kubectl().Run(ctx, "", "get", "namespace", namespace, "--ignore-not-found", "--output=name")
	if err != nil || out == "" {
		return err
	}
	d.say("An earlier run has left its application; it is removed first.\n")
	return d.run(ctx, "delete", "namespace", namespace, "--timeout=120s")
}

func (d *demo) appeared(ctx context.Context) error {
	d.say("Nobody wrote these two; the workload itself was not changed, but for one label of its pod template.\n")
	if err := d.run(ctx, "get", "repositories,backupconfigurations", "-n", namespace); err != nil {
		return err
	}
	d.say("The first pod has the sidecar already: nothing was rolled out twice.\n")
	if err := d.run(ctx, "get", "pods,replicasets", "-n", namespace, "-l", "app=shop"); err != nil {
		return err
	}
	return d.run(ctx, "get", "pods", "-n", namespace, "-l", "app=shop", "-o",
		`jsonpath={range .items[0].spec.initContainers[*]}{.name}{": "}{.image}{" "}{.args[0]}{" "}{.args[1]}{"\n"}{end}`)
}

func (d *demo) goodbye() {
	d.printf("\n%s\n\n", d.paint("1;36", "It is all yours"))
	d.command(strings.Join(d.shell(), "\n"))
	d.say("")
	d.command("kubectl get repositories,backupconfigurations,backupsessions,restoresessions -n " + namespace)
	d.say("For an application of your own: the blueprint above has endpoint and bucket; the keys are in a Secret")
	d.say("that its namespace needs, too:")
	d.command("kubectl get secret s3-secret -n " + namespace + " -o yaml")
	d.command("kubectl explain backupconfiguration.spec.retentionPolicy")
	d.command("kubectl patch backupconfiguration deploy-shop -n " + namespace + ` --type merge -p '{"spec":{"paused":false}}'`)
	d.command("make demo-down")
	d.say("")
}
