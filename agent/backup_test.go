package agent_test

import (
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

func TestABackupMakesASnapshotOfEachPath(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	one, two := tree(t, map[string]string{"a": "1", "sub/b": "22"}), tree(t, map[string]string{"c": "333"})

	result := s.do(r.backup("session-1", one, two))

	mustSucceed(t, result)
	if len(result.Backups) != 2 || result.Backups[0].Path != one || result.Backups[1].Summary.TotalFilesProcessed != 1 {
		t.Errorf("backups = %s", asJSON(result.Backups))
	}
	snapshots := r.snapshots()
	if len(snapshots) != 2 {
		t.Fatalf("%d snapshots, want 2", len(snapshots))
	}
	for i, path := range []string{one, two} {
		got := snapshots[i]
		if got.Hostname != "host-0" || !got.HasTag("stash-session=session-1") || len(got.Paths) != 1 || got.Paths[0] != path {
			t.Errorf("snapshot = %s, want one of %s", asJSON(got), path)
		}
	}
	if locks := r.locks(); len(locks) > 0 {
		t.Errorf("locks are left: %v", locks)
	}
}

// The tag of the session is another one each time; were it part of what parents are found by, each
// backup would read everything again.
func TestATagDoesNotDisturbParents(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	data := tree(t, map[string]string{"a": "1", "b": "2"})

	first := s.do(r.backup("session-1", data))
	second := s.do(r.backup("session-2", data))

	mustSucceed(t, first)
	mustSucceed(t, second)
	if got := second.Backups[0].Summary; got.FilesUnmodified != 2 || got.FilesNew != 0 {
		t.Errorf("summary = %s, want both files unmodified", asJSON(got))
	}
	if got := r.snapshots()[1].Parent; got != first.Backups[0].Summary.SnapshotID {
		t.Errorf("parent = %q, want the first snapshot", got)
	}
}

func TestABackupOfAPathThatFailsDoesNotKeepTheOthersBack(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	data := tree(t, map[string]string{"a": "1"})
	link := filepath.Join(t.TempDir(), "current")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(data, "absent")

	result := s.do(r.backup("session-1", absent, link, "relative", data))

	mustFail(t, result, protocol.ReasonPathMissing)
	for _, path := range []string{absent, link, "relative"} {
		if !strings.Contains(result.Error, `"`+path+`"`) {
			t.Errorf("the error does not name %q: %s", path, result.Error)
		}
	}
	if len(result.Backups) != 1 || result.Backups[0].Path != data || len(r.snapshots()) != 1 {
		t.Errorf("backups = %s, want that of %s alone", asJSON(result.Backups), data)
	}
}

func TestArgumentsOfUsersAreAnAllowList(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	data := tree(t, map[string]string{"a.log": "1", "b.txt": "2"})
	trap := filepath.Join(t.TempDir(), "trap")

	task := r.backup("session-1", data)
	task.Backup.Args = []string{"--password-command=touch " + trap}
	mustFail(t, s.do(task), protocol.ReasonOther)
	if _, err := os.Stat(trap); err == nil {
		t.Error("an argument ran a program")
	}

	task = r.backup("session-2", data)
	task.Backup.Args = []string{"--exclude", "*.log", "--compression=max"}
	result := s.do(task)
	mustSucceed(t, result)
	if got := result.Backups[0].Summary.TotalFilesProcessed; got != 1 {
		t.Errorf("%d files, want 1 without the excluded", got)
	}
}

// big makes a folder whose backup takes a while at the rate that slow asks for.
func big(t *testing.T) string {
	t.Helper()
	text := make([]byte, 64<<20)
	_, _ = rand.Read(text)
	return tree(t, map[string]string{"big": string(text)})
}

func slow(task protocol.Task) protocol.Task {
	task.Backup.Args = []string{"--limit-upload=8000"}
	return task
}

// running waits until a task writes to the repository.
func (s *fakeStream) running() {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case up := <-s.up:
			if up.Progress != nil && up.Progress.BytesDone > 0 {
				return
			}
		case <-timeout:
			s.t.Fatal("there is no progress")
		}
	}
}

func TestACanceledBackupLeavesNeitherSnapshotNorLock(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	task := slow(r.backup("session-1", big(t)))

	s.say(protocol.Down{Task: &task})
	s.running()
	if len(r.locks()) == 0 {
		t.Error("a running backup holds no lock: this test tests nothing")
	}
	s.say(protocol.Down{Cancel: task.ID})

	result := s.result(task.ID)
	mustFail(t, result, protocol.ReasonCanceled)
	if !strings.Contains(result.Error, "by the operator") {
		t.Errorf("the error does not tell who canceled: %s", result.Error)
	}
	if snapshots, locks := r.snapshots(), r.locks(); len(snapshots)+len(locks) > 0 {
		t.Errorf("snapshots = %v, locks = %v, want none", snapshots, locks)
	}
}

func TestADeadlineEndsABackup(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	task := slow(r.backup("session-1", big(t)))
	task.Deadline = time.Now().Add(4 * time.Second)

	mustFail(t, s.do(task), protocol.ReasonDeadline)
	if locks := r.locks(); len(locks) > 0 {
		t.Errorf("locks are left: %v", locks)
	}
	late := r.backup("session-2", tree(t, nil))
	late.Deadline = time.Now().Add(-time.Minute)
	mustFail(t, s.do(late), protocol.ReasonDeadline)
}

func TestAStoppedAgentTellsAndCleansUp(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	a := start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	task := slow(r.backup("session-1", big(t)))
	s.say(protocol.Down{Task: &task})
	s.running()

	a.stop() // what SIGTERM does

	mustFail(t, s.result(task.ID), protocol.ReasonCanceled)
	s.say(protocol.Down{Ack: task.ID})
	if err := a.ended(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	if locks := r.locks(); len(locks) > 0 {
		t.Errorf("locks are left: %v", locks)
	}
}

func TestARepositoryThatCannotBeUsedIsToldApart(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.Timings.Metadata = 10 * time.Second
	start(t, c)
	s := b.stream()
	data := tree(t, map[string]string{"a": "1"})

	wrong := r.backup("wrong-password", data)
	wrong.Repository.Env = map[string]string{"RESTIC_PASSWORD": "mistaken"}
	mustFail(t, s.do(wrong), protocol.ReasonWrongPassword)

	absent := r.backup("absent", data)
	absent.Repository.URL = filepath.Join(t.TempDir(), "absent")
	mustFail(t, s.do(absent), protocol.ReasonNoRepository)
	if _, err := os.Stat(absent.Repository.URL); err == nil {
		t.Error("an agent initialised a repository")
	}

	refused := r.backup("refused", data)
	refused.Repository.URL = "s3:http://" + closedPort(t) + "/bucket/prefix"
	refused.Repository.Env = map[string]string{"RESTIC_PASSWORD": password, "AWS_ACCESS_KEY_ID": "some-key-id", "AWS_SECRET_ACCESS_KEY": "some-secret"}
	result := s.do(refused)
	mustFail(t, result, protocol.ReasonUnreachable)
	if !strings.Contains(result.Error, "connection refused") || strings.Contains(result.Error, "some-secret") {
		t.Errorf("error = %s", result.Error)
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// hold keeps a lock on the repository until the test ends.
func (r repo) hold() {
	r.t.Helper()
	cmd := exec.Command(os.Getenv(envRestic), "--no-cache", "backup", "-q", "--stdin", "--host", "foreign")
	cmd.Env = []string{"RESTIC_REPOSITORY=" + r.path, "RESTIC_PASSWORD=" + password, "PATH=" + os.Getenv("PATH")}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = stdin.Close() // it reads on until then
		_ = cmd.Wait()
	})
	waitFor(r.t, "the lock", func() bool { return len(r.locks()) > 0 })
}

// waitFor asks until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestProgressIsReported(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	data := big(t)
	task := slow(r.backup("session-1", data))
	task.Backup.Args = []string{"--limit-upload=20000"}
	mustSucceed(t, s.do(task))
	if len(s.seen) == 0 {
		t.Fatal("there was no progress")
	}
	last := s.seen[len(s.seen)-1]
	if last.ID != task.ID || last.Path != data || last.Percent <= 0 || last.Percent > 100 || last.TotalBytes != 64<<20 {
		t.Errorf("progress = %s", asJSON(last))
	}
}

func TestThePriorityOfAnAgentIsThatOfTheTask(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ResticBinary = filepath.Join(t.TempDir(), "restic")
	seen := filepath.Join(t.TempDir(), "nice")
	write(t, c.ResticBinary, "#!/bin/sh\nnice > "+seen+"\nexec "+os.Getenv(envRestic)+" \"$@\"\n")
	if err := os.Chmod(c.ResticBinary, 0o755); err != nil {
		t.Fatal(err)
	}
	start(t, c)
	task := r.backup("session-1", tree(t, map[string]string{"a": "1"}))
	task.Nice, task.IONice = new(9), &protocol.IONice{Class: 3}
	mustSucceed(t, b.stream().do(task))
	own, err := exec.Command("nice").Output()
	if err != nil {
		t.Fatal(err)
	}
	base, err := strconv.Atoi(strings.TrimSpace(string(own))) // the tests themselves may run at another
	if err != nil {
		t.Fatal(err)
	}
	want := strconv.Itoa(min(19, base+9))
	if text, _ := os.ReadFile(seen); strings.TrimSpace(string(text)) != want {
		t.Errorf("restic ran at priority %q, want %s", text, want)
	}
}

func TestTheCacheStaysBelowItsLimit(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	start(t, c)
	s := b.stream()
	files := map[string]string{}
	for i := range 300 {
		files[strings.Repeat("d", i%20+1)+"/"+strings.Repeat("f", i/20+1)] = "x"
	}
	task := r.backup("session-1", tree(t, files))
	const limit = 20 << 10
	task.Cache = protocol.Cache{LimitBytes: limit}
	for _, id := range []string{"session-1", "session-2"} {
		task.ID = id
		mustSucceed(t, s.do(task))
		var size int64
		_ = filepath.WalkDir(filepath.Join(c.WorkDir, "sidecar", "cache"), func(_ string, d os.DirEntry, _ error) error {
			if info, err := d.Info(); err == nil && !d.IsDir() {
				size += info.Size()
			}
			return nil
		})
		if size > limit+1<<10 {
			t.Errorf("the cache has %d bytes, the limit is %d", size, limit)
		}
	}
	task.ID, task.Cache = "session-3", protocol.Cache{Disabled: true}
	mustSucceed(t, s.do(task))
}
