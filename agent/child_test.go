package agent_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/seed-731df569/stash/agent"
)

// envChild holds the configuration of an agent that is to run in a process of its own, as another
// user.
const envChild = "STASH_TEST_CHILD"

func child() int {
	var c agent.Config
	if err := json.Unmarshal([]byte(os.Getenv(envChild)), &c); err != nil {
		return 2
	}
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := agent.Run(context.Background(), c); err != nil {
		return 1
	}
	return 0
}

const capDACReadSearch = 2

// startAs runs an agent as another user. It may read everything, as a sidecar of root may, so that
// it reaches a restic in the home of the user who runs the tests.
func startAs(t *testing.T, c agent.Config, uid, gid uint32) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run an agent as another user")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.Log = nil
	// The shell has the capability in effect, which it takes to reach the program.
	cmd := exec.Command("/bin/sh", "-c", `exec "$0"`, program)
	cmd.Env = append(os.Environ(), envChild+"="+asJSON(c))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: uid, Gid: gid},
		AmbientCaps: []uintptr{capDACReadSearch},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}
