package install

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Kubectl runs kubectl against one cluster.
type Kubectl struct {
	// Program is the path of kubectl, Kubeconfig that of the kubeconfig.
	Program, Kubeconfig string
}

// Cmd prepares a call of kubectl.
func (k Kubectl) Cmd(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.Program, args...) //nolint:gosec // kubectl, called by tests and the demo
	cmd.Env = append(os.Environ(), "KUBECONFIG="+k.Kubeconfig)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Run runs kubectl with text as its input and returns all that it prints. The error of a call that
// fails holds what kubectl said.
func (k Kubectl) Run(ctx context.Context, text string, args ...string) (string, error) {
	cmd := k.Cmd(ctx, args...)
	cmd.Stdin = strings.NewReader(text)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("run kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return out.String(), nil
}
