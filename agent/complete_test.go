package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// restoring writes a stand-in for restic that restores with success and counts its runs.
func restoring(t *testing.T, runs string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restic")
	write(t, path, `#!/bin/sh
case "$*" in
*" config"*) echo '{"version":2,"id":"abc"}';;
*" tree "*) echo '{"nodes":[{"name":"data","type":"dir","mode":2147484141,"uid":0,"gid":0,"mtime":"2020-01-01T00:00:00Z","atime":"2020-01-01T00:00:00Z"}]}';;
*" restore "*) echo run >> `+runs+`; echo '{"message_type":"summary","total_files":1,"files_restored":1}';;
esac
`)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func restoreTask(t *testing.T, id string) protocol.Task {
	t.Helper()
	return protocol.Task{
		ID: id, Repository: restic.Repository{URL: "/repo", Env: map[string]string{"RESTIC_PASSWORD": password}},
		Restore: &protocol.Restore{Host: "host-0", Snapshots: []protocol.RestoreSnapshot{{ID: "abc", Path: tree(t, nil)}}},
	}
}

// Kubelet runs init-containers again after a reboot, in the same pod: what the application wrote
// since must stay.
func TestARestoreHappensOncePerPod(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleInit)
	runs := filepath.Join(t.TempDir(), "runs")
	c.ResticBinary, c.StateDir, c.RestoreID = restoring(t, runs), t.TempDir(), "hash-1"
	a := start(t, c)
	mustSucceed(t, b.stream().do(restoreTask(t, "restore-1")))
	if err := a.ended(); err != nil {
		t.Fatal(err)
	}

	b.refuse(503, "the operator is away")
	c.WorkDir = t.TempDir() // may be memory, and gone
	if err := start(t, c).ended(); err != nil {
		t.Errorf("the second run ends with %v", err)
	}
	if text, _ := os.ReadFile(runs); string(text) != "run\n" {
		t.Errorf("runs = %q, want one", text)
	}
	if len(b.streams) > 0 {
		t.Error("the second run asked the broker")
	}

	// Another restore of the same pod is another one.
	b.refuse(0, "")
	c.RestoreID = "hash-2"
	start(t, c)
	mustSucceed(t, b.stream().do(restoreTask(t, "restore-2")))
	if text, _ := os.ReadFile(runs); string(text) != "run\nrun\n" {
		t.Errorf("runs = %q, want two", text)
	}
}

func TestASuccessThatNobodyHeardOfIsToldAndNotRepeated(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleInit)
	runs := filepath.Join(t.TempDir(), "runs")
	c.ResticBinary = restoring(t, runs)
	c.Timings.Flush = time.Millisecond
	a := start(t, c)
	s := b.stream()
	task := restoreTask(t, "restore-1")
	s.say(protocol.Down{Task: &task})
	s.accepted(task.ID)
	s.result(task.ID)
	a.stop() // before the acknowledgement
	if err := a.ended(); err == nil {
		t.Error("an init-container that was stopped before it was done lets the pod start")
	}
	// A crash may also come between the result and the record of it.
	if err := os.RemoveAll(filepath.Join(c.WorkDir, "restored")); err != nil {
		t.Fatal(err)
	}

	c.Timings.Flush = patience
	b.forget()
	a = start(t, c)
	s = b.stream()
	s.say(protocol.Down{Task: &task})
	s.result(task.ID)
	s.say(protocol.Down{Ack: task.ID})
	if err := a.ended(); err != nil {
		t.Errorf("the second run ends with %v", err)
	}
	if text, _ := os.ReadFile(runs); string(text) != "run\n" {
		t.Errorf("runs = %q, want one", text)
	}
}

func TestAFailedRestoreKeepsThePodFromStarting(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleInit)
	c.ResticBinary = program(t, "")
	c.TerminationLog = filepath.Join(t.TempDir(), "termination-log")
	write(t, c.TerminationLog, strings.Repeat("older and longer text ", 100))
	a := start(t, c)
	task := restoreTask(t, "restore-1")
	task.Restore.Snapshots[0].Path = "relative"
	s := b.stream()
	s.say(protocol.Down{Task: &task})
	s.accepted(task.ID)
	mustFail(t, s.result(task.ID), protocol.ReasonPathMissing)
	select {
	case err := <-a.over:
		t.Fatalf("the container ended before its result was stored: %v", err)
	default:
	}
	s.say(protocol.Down{Ack: task.ID})
	err := a.ended()
	if err == nil {
		t.Fatal("the pod may start")
	}
	if text, _ := os.ReadFile(c.TerminationLog); string(text) != fmt.Sprint(err) || !strings.Contains(string(text), "PathNotFound") {
		t.Errorf("termination log = %q, error = %v", text, err)
	}
	// Kubelet starts the container again, and the broker decides again.
	start(t, c)
	if got := b.stream().hello.Running; len(got) > 0 {
		t.Errorf("hello names %v, want nothing", got)
	}
}

func TestAnInitContainerWithoutWorkLetsThePodStart(t *testing.T) {
	b := newBroker(t)
	a := start(t, configure(t, b, protocol.RoleInit))
	s := b.stream()
	for range 3 {
		s.say(protocol.Down{Wait: "waiting for the old pod to go"})
	}
	s.say(protocol.Down{Finish: true})
	if err := a.ended(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if n := strings.Count(a.log.String(), "waiting for the old pod to go"); n != 1 {
		t.Errorf("the reason is logged %d times, want once", n)
	}
}

func TestARefusedInitContainerKeepsThePodFromStarting(t *testing.T) {
	b := newBroker(t)
	a := start(t, configure(t, b, protocol.RoleInit))
	b.stream().say(protocol.Down{Refuse: "no such restore"})
	if err := a.ended(); err == nil || !strings.Contains(fmt.Sprint(err), "no such restore") {
		t.Errorf("it ends with %v", err)
	}
}

func TestHalfARestoreIsNotFinished(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleInit)
	wait, open := gate(t)
	path := filepath.Join(t.TempDir(), "restic")
	write(t, path, "#!/bin/sh\n"+wait+"\nexit 1\n")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	c.ResticBinary = path
	a := start(t, c)
	s := b.stream()
	task := restoreTask(t, "restore-1")
	s.say(protocol.Down{Task: &task})
	s.accepted(task.ID)
	s.say(protocol.Down{Finish: true})
	waitFor(t, "the agent to hear", func() bool { return strings.Contains(a.log.String(), "work is still being done") })
	open()
	s.result(task.ID)
	s.say(protocol.Down{Ack: task.ID})
	if err := a.ended(); err == nil {
		t.Error("the pod may start after a restore that failed")
	}
}
