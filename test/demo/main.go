// Command demo shows what Stash does, on a real cluster, step by step: an annotated application is
// backed up on schedule, loses its data and gets it back. `up` leaves everything in place to play
// with, `down` removes it.
//
// Without further ado it runs on a cluster of its own, which it brings up on this machine. With
// KUBECONFIG, IMAGE and BUCKET set it runs on a cluster of yours, after asking.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: demo up|down

On a cluster of its own, on this machine (Debian, root):

  demo up

On a cluster of yours, with an image of Stash that it can pull and a bucket that exists:

  KUBECONFIG=... IMAGE=registry.example/stash:v1 \
  BUCKET=backups ENDPOINT=https://s3.example.com \
  AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... demo up
`

var errUsage = errors.New("expected one word, up or down")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, errUsage) {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	p, err := findPlace()
	if err != nil {
		return err
	}
	switch args[0] {
	case "up":
		return up(ctx, p, newScreen(os.Stdout))
	case "down":
		return p.remove(ctx, newScreen(os.Stdout))
	}
	return errUsage
}

// up runs all steps; the first that fails ends the demo, with all that was made left to look at.
func up(ctx context.Context, p place, s *screen) error {
	d := &demo{place: p, screen: s}
	s.title("Stash: a backup, a disaster, a restore")
	for _, step := range d.steps() {
		if err := s.step(ctx, step.name, step.run); err != nil {
			return fmt.Errorf("step %q: %w", step.name, err)
		}
	}
	s.summary()
	d.goodbye()
	return nil
}
