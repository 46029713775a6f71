package agent_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-731df569/stash/addons/database"
	"github.com/seed-731df569/stash/broker/protocol"
)

// secret is the password of the databases in these tests.
const secret = "hunter2-of-the-database"

// programs are shell scripts that stand in for those of PostgreSQL.
func programs(t *testing.T, scripts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if _, ok := scripts["pg_isready"]; !ok {
		scripts["pg_isready"] = "exit 0"
	}
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

func someDatabase() protocol.Database {
	return protocol.Database{
		Addon: "postgres", Server: database.Server{Host: "127.0.0.1", Port: 1, Password: secret}, Params: map[string]string{"waitTimeout": "0"},
	}
}

func (r repo) dump(id string) protocol.Task {
	return protocol.Task{
		ID: id, Repository: r.Repository,
		Dump: &protocol.Dump{Database: someDatabase(), Host: "host-0", Tags: []string{"stash-session=" + id}},
	}
}

// dumper is an agent whose pg_dumpall is a script.
func dumper(t *testing.T, script string) (repo, *started, *fakeStream) {
	t.Helper()
	r := newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ToolPath = programs(t, map[string]string{"pg_dumpall": script})
	a := start(t, c)
	return r, a, b.stream()
}

// leftNothing fails where a dump that failed has left a snapshot, a lock or a file.
func (r repo) leftNothing(a *started) {
	r.t.Helper()
	if s, l := r.snapshots(), r.locks(); len(s)+len(l) > 0 {
		r.t.Errorf("%d snapshots and locks %v are left", len(s), l)
	}
	left, err := filepath.Glob(filepath.Join(a.config.WorkDir, "*", "scratch", "database-*"))
	if err != nil || len(left) > 0 {
		r.t.Errorf("files are left: %v %v", left, err)
	}
	if log := a.log.String(); strings.Contains(log, secret) {
		r.t.Errorf("the log holds the password: %s", log)
	}
}

func TestADumpIsOneFileOfOneSnapshot(t *testing.T) {
	r, a, s := dumper(t, "echo one; echo two")

	result := s.do(r.dump("session-1"))

	mustSucceed(t, result)
	snapshots := r.snapshots()
	if len(snapshots) != 1 || len(result.Backups) != 1 {
		t.Fatalf("%d snapshots, result %s", len(snapshots), asJSON(result))
	}
	got := snapshots[0]
	if got.Hostname != "host-0" || !got.HasTag("stash-session=session-1") || len(got.Paths) != 1 || got.Paths[0] != "/dumpfile.sql" {
		t.Errorf("snapshot = %s", asJSON(got))
	}
	if b := result.Backups[0]; b.Path != got.Paths[0] || b.Summary.SnapshotID != got.ID || b.Summary.TotalBytesProcessed != 8 {
		t.Errorf("result = %s", asJSON(b))
	}
	if text := r.run("dump", got.ID, "/dumpfile.sql"); text != "one\ntwo\n" {
		t.Errorf("the snapshot holds %q", text)
	}
	if log := a.log.String(); strings.Contains(log, secret) {
		t.Errorf("the log holds the password: %s", log)
	}
}

func TestADumpThatFailsLeavesNothing(t *testing.T) {
	const much = "head -c 6000000 /dev/urandom; "
	for name, c := range map[string]struct{ script, want string }{
		"it fails at once":               {"echo 'role is missing' >&2; exit 1", "pg_dumpall: exit status 1: role is missing"},
		"it fails half way":              {much + "echo 'server closed the connection' >&2; exit 3", "pg_dumpall: exit status 3: server closed the connection"},
		"it is killed":                   {much + "kill -9 $$", "pg_dumpall: signal: killed"},
		"it says nothing, with success":  {"exit 0", "pg_dumpall: it ended with success and has written nothing"},
		"it says the password":           {much + "echo \"login as $PGPASSWORD\" >&2; exit 1", "login as ***"},
		"it says more than anyone reads": {"i=0; while [ $i -lt 3000 ]; do echo line $i of many >&2; i=$((i+1)); done; exit 1", "line 2999 of many"},
		"a child of it outlives it":      {much + "sleep 100 & exit 1", "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			r, a, s := dumper(t, c.script)
			result := s.do(r.dump("session-1"))
			mustFail(t, result, protocol.ReasonDumpFailed)
			if !strings.Contains(result.Error, c.want) || strings.Contains(result.Error, secret) || len(result.Error) > protocol.MaxText {
				t.Errorf("error of %d bytes: %s", len(result.Error), result.Error)
			}
			r.leftNothing(a)
		})
	}
}

// awaitLocks waits until there are so many locks.
func (r repo) awaitLocks(want int) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for len(r.locks()) != want {
		if time.Now().After(deadline) {
			r.t.Fatalf("locks %v, want %d", r.locks(), want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitEnd waits until no process has that argument.
func awaitEnd(t *testing.T, argument string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		files, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(text), argument)
		}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a process still has the argument %s", argument)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const slowly = "while :; do head -c 1000000 /dev/urandom; sleep 0.05; done"

func TestADumpThatIsCanceledOrLateLeavesNothing(t *testing.T) {
	t.Run("canceled", func(t *testing.T) {
		r, a, s := dumper(t, slowly)
		task := r.dump("session-1")
		s.say(protocol.Down{Task: &task})
		s.running()
		s.say(protocol.Down{Cancel: task.ID})
		mustFail(t, s.result(task.ID), protocol.ReasonCanceled)
		r.leftNothing(a)
	})
	t.Run("late", func(t *testing.T) {
		r, a, s := dumper(t, slowly)
		task := r.dump("session-1")
		task.Deadline = time.Now().Add(3 * time.Second)
		mustFail(t, s.do(task), protocol.ReasonDeadline)
		r.leftNothing(a)
	})
	t.Run("the agent is stopped", func(t *testing.T) {
		r, a, s := dumper(t, slowly)
		task := r.dump("session-1")
		s.say(protocol.Down{Task: &task})
		s.running()
		a.stop()
		_ = a.ended()
		r.leftNothing(a)
	})
}

// With a pipe, the end of a killed agent is the end of the data, and half a dump becomes a snapshot. The
// lock stays, as that of any restic whose agent is killed: nobody is left to interrupt it.
func TestADumpWhoseAgentIsKilledLeavesNoSnapshot(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ToolPath = programs(t, map[string]string{"pg_dumpall": slowly})
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), envChild+"="+asJSON(c))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	s := b.stream()
	task := r.dump("session-1")
	task.Dump.Host = "host-of-the-killed"
	s.say(protocol.Down{Task: &task})
	s.running()
	r.awaitLocks(1)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	awaitEnd(t, "--host=host-of-the-killed")
	if n := len(r.snapshots()); n > 0 {
		t.Errorf("%d snapshots are left", n)
	}
}

func TestADumpIntoARepositoryThatDoesNotOpenSaysSo(t *testing.T) {
	r, a, s := dumper(t, slowly)
	task := r.dump("session-1")
	task.Repository.Env = map[string]string{"RESTIC_PASSWORD": "another-one"}
	mustFail(t, s.do(task), protocol.ReasonWrongPassword)
	r.leftNothing(a)
}

func TestADumpWaitsForItsServer(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	marker := filepath.Join(t.TempDir(), "tried")
	c.ToolPath = programs(t, map[string]string{
		"pg_isready": "if [ -e " + marker + " ]; then exit 0; fi; touch " + marker + "; exit 2",
		"pg_dumpall": "echo dump",
	})
	start(t, c)
	s := b.stream()

	task := r.dump("session-1")
	result := s.do(task)
	mustFail(t, result, protocol.ReasonDatabase)
	if !strings.Contains(result.Error, "127.0.0.1:1 did not answer in 0s: dial tcp 127.0.0.1:1: connect: connection refused") {
		t.Errorf("error = %s", result.Error)
	}
	_ = os.Remove(marker)
	task = r.dump("session-2")
	task.Dump.Params = map[string]string{"waitTimeout": "60"}
	mustSucceed(t, s.do(task))
}

// What a program needs in files is there for its owner alone, and gone afterwards; nothing is in its
// arguments.
func TestWhatADumpIsGiven(t *testing.T) {
	r, a, s := dumper(t, `echo "args $*"; env | sort; stat -c '%a %n' "$HOME" "$HOME"/*; cat "$HOME"/tls.key; ps -o ni= -p $$`)
	task := r.dump("session-1")
	nice := 5
	task.Nice = &nice
	base, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	task.Dump.Server.TLS = database.TLS{Mode: database.ModeVerifyCA, CA: []byte("ca\n"), Cert: []byte("cert\n"), Key: []byte("key\n")}
	mustSucceed(t, s.do(task))
	text := r.run("dump", r.snapshots()[0].ID, "/dumpfile.sql")
	for _, want := range []string{
		"args --no-password\n", "PGPASSWORD=" + secret, "PGSSLMODE=verify-ca", "700 ", "/ca.crt\n", "600 ", "/tls.key\nkey\n", fmt.Sprintf(" %d\n", 20-base+nice),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	for _, word := range []string{password, "RESTIC", envRestic} {
		if strings.Contains(text, word) {
			t.Errorf("a program of the database got %q", word)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(a.config.WorkDir, "*", "scratch", "database-*")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestADumpThatCannotBeIsRefused(t *testing.T) {
	r, a, s := dumper(t, "touch "+filepath.Join(t.TempDir(), "trap"))
	for name, c := range map[string]struct {
		change func(*protocol.Dump)
		want   string
	}{
		"an addon of a later version": {func(d *protocol.Dump) { d.Addon = "cassandra" }, `addon "cassandra" is not known to this agent`},
		"a path as the file":          {func(d *protocol.Dump) { d.File = "../x" }, `file "../x" is no name of a file`},
		"an argument that writes":     {func(d *protocol.Dump) { d.Params = map[string]string{"args": "--file=/x"} }, `param args: "--file" is not allowed`},
		"an argument of restic's":     {func(d *protocol.Dump) { d.Args = []string{"--password-command=id"} }, "is not allowed"},
		"no host":                     {func(d *protocol.Dump) { d.Host = "" }, "names no host"},
		"no server":                   {func(d *protocol.Dump) { d.Server.Host = "" }, "is no host name"},
	} {
		task := r.dump(name)
		c.change(task.Dump)
		if result := s.do(task); !strings.Contains(result.Error, c.want) {
			t.Errorf("%s: error = %q", name, result.Error)
		}
	}
	r.leftNothing(a)
}
