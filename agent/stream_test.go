package agent_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-731df569/stash/agent"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// program writes a stand-in for restic, for tests of what is around it. Only "backup" needs a text:
// what is asked before succeeds.
func program(t *testing.T, backup string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restic")
	write(t, path, `#!/bin/sh
case "$*" in
*" cat "*) echo '{"version":2,"id":"abc"}';;
*" backup "*) `+backup+`;;
esac
`)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

const done = `echo '{"message_type":"summary","snapshot_id":"abc"}'`

func plain(t *testing.T, id string) protocol.Task {
	t.Helper()
	return protocol.Task{
		ID: id, Repository: restic.Repository{URL: "/repo", Env: map[string]string{"RESTIC_PASSWORD": password}},
		Backup: &protocol.Backup{Host: "host-0", Paths: []string{t.TempDir()}},
	}
}

// gate is a file that a stand-in waits for.
func gate(t *testing.T) (wait string, open func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate")
	return "while [ ! -e " + path + " ]; do sleep 0.02; done", func() { write(t, path, "") }
}

func TestAnAgentIntroducesItself(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleWorker)
	c.Mounted = "/backup"
	start(t, c)
	s := b.stream()
	us, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if s.hello.Hostname != us || s.hello.Version != protocol.Version || s.hello.Role != protocol.RoleWorker || s.hello.Build != "test" || s.hello.Mounted != "/backup" {
		t.Errorf("hello = %s", asJSON(s.hello))
	}
	h := s.request.Header
	if h.Get("Authorization") != "Bearer the-token" || h.Get(protocol.RoleHeader) != "worker" || s.request.ProtoMajor != 2 || s.request.TLS.Version != 0x0304 {
		t.Errorf("request = %v %v", s.request.Proto, h)
	}
}

func TestTokenAndCAAreReadAtEachConnect(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.CAFile, "not yet there")
	a := start(t, c)
	waitFor(t, "the complaint", func() bool { return strings.Contains(a.log.String(), "holds no certificate") })
	write(t, c.CAFile, string(ca))
	s := b.stream()
	write(t, c.TokenFile, "the-next-token")
	s.close()
	if got := b.stream().request.Header.Get("Authorization"); got != "Bearer the-next-token" {
		t.Errorf("authorization = %q", got)
	}
}

func TestABrokerOfAnotherCAIsNotTrusted(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ServerName = "somebody.else"
	a := start(t, c)
	waitFor(t, "the complaint", func() bool { return strings.Contains(a.log.String(), "x509") })
	if len(b.streams) > 0 {
		t.Error("the agent said hello")
	}
}

func TestAResultIsRepeatedUntilItIsAcknowledged(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ResticBinary = program(t, done)
	start(t, c)
	s := b.stream()
	task := plain(t, "session-1")
	s.say(protocol.Down{Task: &task})
	s.accepted(task.ID)
	first := s.result(task.ID)
	for range 3 {
		s.close()
		s = b.stream()
		if !slices.Equal(s.hello.Running, []string{task.ID}) {
			t.Errorf("hello names %v, want the result that is not acknowledged", s.hello.Running)
		}
		if got := s.result(task.ID); asJSON(got) != asJSON(first) {
			t.Errorf("result = %s, want the same, %s", asJSON(got), asJSON(first))
		}
	}
	s.say(protocol.Down{Ack: task.ID})
	// The next task follows the acknowledgement, so that this one is heard by then.
	next := plain(t, "session-2")
	s.do(next)
	s.close()
	if got := b.stream().hello.Running; len(got) > 0 {
		t.Errorf("hello names %v, want nothing", got)
	}
}

func TestAResultSurvivesARestart(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ResticBinary = program(t, done)
	a := start(t, c)
	s := b.stream()
	task := plain(t, "session-1")
	s.say(protocol.Down{Task: &task})
	s.accepted(task.ID)
	first := s.result(task.ID)
	s.close()
	c.Timings.Flush = time.Millisecond
	a.stop()
	if err := a.ended(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(c.WorkDir, "sidecar", "results", "*"))
	if len(files) != 1 {
		t.Fatalf("files = %v, want one result", files)
	}
	text, _ := os.ReadFile(files[0])
	if strings.Contains(string(text), password) {
		t.Error("the file holds the password")
	}
	write(t, filepath.Join(filepath.Dir(files[0]), "broken.json"), "{")

	b.forget() // the first agent may have connected once more
	start(t, c)
	s = b.stream()
	if got := s.result(task.ID); asJSON(got) != asJSON(first) {
		t.Errorf("result = %s, want %s", asJSON(got), asJSON(first))
	}
	s.say(protocol.Down{Ack: task.ID})
	waitFor(t, "the files to go", func() bool {
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(files[0]), "*"))
		return len(left) == 0
	})
}

func TestABrokerThatIsAwayDisturbsNoBackup(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	wait, open := gate(t)
	c.ResticBinary = program(t, wait+"; "+done)
	a := start(t, c)
	s := b.stream()
	task := plain(t, "session-1")
	s.say(protocol.Down{Task: &task})
	s.accepted(task.ID)
	b.refuse(http.StatusServiceUnavailable, "starting")
	s.close()
	waitFor(t, "a refusal", func() bool { return strings.Contains(a.log.String(), "503 Service Unavailable: starting") })
	open()
	waitFor(t, "the end of the task", func() bool { return strings.Contains(a.log.String(), "task is done") })
	b.refuse(0, "")
	mustSucceed(t, b.stream().result(task.ID))
}

func TestATaskIsTakenOnce(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	wait, open := gate(t)
	runs := filepath.Join(t.TempDir(), "runs")
	c.ResticBinary = program(t, "echo run >> "+runs+"; "+wait+"; "+done)
	start(t, c)
	s := b.stream()
	task := plain(t, "session-1")
	s.say(protocol.Down{Task: &task})
	s.accepted(task.ID)
	s.say(protocol.Down{Task: &task})
	s.close()
	s = b.stream()
	if !slices.Equal(s.hello.Running, []string{task.ID}) {
		t.Errorf("hello names %v, want the running task", s.hello.Running)
	}
	s.say(protocol.Down{Task: &task})
	open()
	s.result(task.ID)
	s.say(protocol.Down{Task: &task})
	s.say(protocol.Down{Ack: task.ID})
	mustSucceed(t, s.do(plain(t, "session-2")))
	if text, _ := os.ReadFile(runs); string(text) != "run\nrun\n" {
		t.Errorf("runs = %q, want one for each task", text)
	}
}

func TestASilentBrokerIsLeft(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.Timings.Heartbeat, c.Timings.Silence = 10*time.Millisecond, 500*time.Millisecond
	a := start(t, c)
	s := b.stream()
	s.say(protocol.Down{Alive: true})
	b.stream() // nobody answers the first one any more
	if !strings.Contains(a.log.String(), "silent") {
		t.Errorf("log = %s", a.log)
	}
}

func TestAWorkerWorksOnARepositoryOnceAtATime(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleWorker)
	wait, open := gate(t)
	c.ResticBinary = program(t, wait+"; "+done)
	start(t, c)
	s := b.stream()
	tasks := []protocol.Task{plain(t, "a1"), plain(t, "a2"), plain(t, "b"), plain(t, "c"), plain(t, "d"), plain(t, "e")}
	for i := range tasks {
		if !strings.HasPrefix(tasks[i].ID, "a") {
			tasks[i].Repository.URL = "/repo/" + tasks[i].ID
		}
		s.say(protocol.Down{Task: &tasks[i]})
	}
	var accepted []string
	for range 4 {
		accepted = append(accepted, s.next().Accept.ID)
	}
	slices.Sort(accepted)
	if want := []string{"a1", "b", "c", "d"}; !slices.Equal(accepted, want) {
		t.Errorf("first are %v, want %v", accepted, want)
	}
	s.close()
	s = b.stream()
	hello := slices.Sorted(slices.Values(s.hello.Running))
	if want := []string{"a1", "a2", "b", "c", "d", "e"}; !slices.Equal(hello, want) {
		t.Errorf("hello names %v, want also those that wait: %v", hello, want)
	}

	// One that waits can be canceled, and says so at once.
	s.say(protocol.Down{Cancel: "a2"})
	mustFail(t, s.result("a2"), protocol.ReasonCanceled)
	open()
	left := map[string]bool{"a1": true, "b": true, "c": true, "d": true, "e": true}
	for len(left) > 0 {
		if up := s.next(); up.Result != nil {
			delete(left, up.Result.ID)
		}
	}
}

func TestAnIdleWorkerLeaves(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleWorker)
	c.Timings.Idle = 200 * time.Millisecond
	c.ResticBinary = program(t, done)
	a := start(t, c)
	s := b.stream()
	task := plain(t, "task-1")
	s.say(protocol.Down{Task: &task})
	s.accepted(task.ID)
	s.result(task.ID)
	select {
	case err := <-a.over:
		t.Fatalf("the worker left before its result was stored: %v", err)
	case <-time.After(2 * c.Timings.Idle):
	}
	s.say(protocol.Down{Ack: task.ID})
	if err := a.ended(); err != nil {
		t.Errorf("the worker ends with %v", err)
	}
}

func TestAWorkerLeavesWhenToldTo(t *testing.T) {
	b := newBroker(t)
	a := start(t, configure(t, b, protocol.RoleWorker))
	b.stream().say(protocol.Down{Finish: true})
	if err := a.ended(); err != nil {
		t.Errorf("the worker ends with %v", err)
	}
}

func TestARefusedSidecarTriesAgain(t *testing.T) {
	b := newBroker(t)
	a := start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	s.say(protocol.Down{Finish: true}) // means nothing to a sidecar
	s.say(protocol.Down{Refuse: "no configuration names this pod"})
	b.stream()
	if !strings.Contains(a.log.String(), "no configuration names this pod") {
		t.Errorf("the reason is not logged: %s", a.log)
	}
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]agent.Config{
		"no role":     {BrokerAddress: "x:1", TokenFile: "t", CAFile: "c", WorkDir: t.TempDir()},
		"no broker":   {Role: protocol.RoleSidecar, TokenFile: "t", CAFile: "c", WorkDir: t.TempDir()},
		"no token":    {Role: protocol.RoleSidecar, BrokerAddress: "x:1", CAFile: "c", WorkDir: t.TempDir()},
		"no work dir": {Role: protocol.RoleSidecar, BrokerAddress: "x:1", TokenFile: "t", CAFile: "c", WorkDir: "/proc/none"},
	} {
		if err := agent.Run(context.Background(), c); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

// A line that is too long ends the stream, and would be said again on each one that follows.
func TestAResultIsMadeToFit(t *testing.T) {
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	r := protocol.Result{ID: "s/host-0/1", Error: strings.Repeat("x", 2<<20)}
	for range 100 {
		r.Backups = append(r.Backups, protocol.PathBackup{Path: "/data", Unreadable: slices.Repeat([]string{strings.Repeat("y", 2000)}, 20), UnreadableCount: 20})
	}
	dir := filepath.Join(c.WorkDir, "sidecar", "results")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a.json"), asJSON(r))
	start(t, c)
	stream := b.stream()
	got := stream.result(r.ID)
	stream.say(protocol.Down{Ack: r.ID})
	if len(got.Backups) != 100 || got.Backups[99].UnreadableCount != 20 || len(got.Error) > protocol.MaxText {
		t.Errorf("%d paths, %d bytes of error", len(got.Backups), len(got.Error))
	}
}
