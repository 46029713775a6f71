package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-731df569/stash/test/e2e/install"
)

// root is the module's root folder: the demo is run from there, by `make demo`.
func root() (string, error) {
	if _, err := os.Stat("deploy/kustomization.yaml"); err != nil {
		return "", errors.New("run it in the root folder of Stash's repository")
	}
	return os.Getwd()
}

// lines passes whole lines on to the screen.
type lines struct{ s *screen }

func (l lines) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		l.s.say("%s", strings.TrimRight(line, "\n"))
	}
	return len(p), nil
}

func (o *own) prepare(ctx context.Context, s *screen) error {
	dir, err := root()
	if err != nil {
		return err
	}
	s.say("A real Kubernetes cluster on this machine: a control plane, three nodes and an S3 server.")
	s.say("The very first time its parts are compiled, which takes about a quarter of an hour on two cores.\n")
	o.c.SetLog(lines{s})
	if err := o.c.Up(ctx); err != nil {
		return err
	}
	s.say("Building the image of Stash from deploy/Dockerfile; the first time, that takes some minutes.")
	archive, err := install.Build(ctx, o.c.Cache(), dir, install.Image, "demo")
	if err != nil {
		return err
	}
	if err := o.c.LoadImage(ctx, archive); err != nil {
		return err
	}
	o.build = filepath.Base(archive)
	if err := o.c.Storage().CreateBucket(o.bucket().Name); err != nil {
		return err
	}
	s.say("")
	s.command(strings.Join(o.shell(), "\n"))
	s.command("kubectl get nodes")
	out, err := o.kubectl().Run(ctx, "", "get", "nodes")
	if err != nil {
		return err
	}
	s.result(out)
	return nil
}

func (o *own) remove(ctx context.Context, s *screen) error {
	o.c.SetLog(lines{s})
	if err := o.c.Down(ctx); err != nil {
		return err
	}
	s.say("The cluster is gone, with all that was in it.")
	return nil
}

func (y *yours) prepare(ctx context.Context, s *screen) error {
	if _, err := root(); err != nil {
		return err
	}
	name, err := y.k.Run(ctx, "", "config", "current-context")
	if err != nil {
		return err
	}
	return y.ask(s, fmt.Sprintf(`The cluster of context %q gets Stash (namespace %q, CRDs, webhooks, roles; image %s)
and an application in namespace %q, whose backups go to bucket %q at %s.`,
		strings.TrimSpace(name), "stash", y.image, namespace, y.b.Name, y.b.Endpoint))
}

func (y *yours) remove(ctx context.Context, s *screen) error {
	dir, err := root()
	if err != nil {
		return err
	}
	name, err := y.k.Run(ctx, "", "config", "current-context")
	if err != nil {
		return err
	}
	err = y.ask(s, fmt.Sprintf(`In the cluster of context %q, namespace %q, the blueprint %q and all of Stash are deleted:
its CRDs too, with every object of its kinds. What is in bucket %q stays.`,
		strings.TrimSpace(name), namespace, blueprint, y.b.Name))
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"delete", "namespace", namespace, "--ignore-not-found"},
		{"delete", "backupblueprint", blueprint, "--ignore-not-found"},
		{"delete", "--kustomize", filepath.Join(dir, "deploy"), "--ignore-not-found"},
	} {
		s.command("kubectl " + strings.Join(args, " "))
		out, err := y.k.Run(ctx, "", args...)
		if err != nil {
			return err
		}
		s.result(out)
	}
	return nil
}

// ask wants a clear yes.
func (y *yours) ask(s *screen, what string) error {
	s.say("%s", what)
	s.printf("\n   Go on? Type yes: ")
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && answer == "" {
		return fmt.Errorf("read answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was done: the answer was not yes")
	}
	return nil
}
