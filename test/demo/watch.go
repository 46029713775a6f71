package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"
)

// get reads objects of the shop's namespace with kubectl.
func (d *demo) get(ctx context.Context, into any, args ...string) error {
	out, err := d.kubectl().Run(ctx, "", append([]string{"get", "-n", namespace, "-o", "yaml"}, args...)...)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("decode what kubectl said: %w", err)
	}
	return nil
}

// watch polls until done, an error or the limit of a step.
func (d *demo) watch(ctx context.Context, done func(context.Context) (bool, error)) error {
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, stepLimit, true, done)
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("it did not happen within %s; look at: kubectl get events -n %s; kubectl logs -n stash deploy/stash-operator", stepLimit, namespace)
	}
	return err //nolint:wrapcheck // the callback's own
}
