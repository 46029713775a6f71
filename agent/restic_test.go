package agent_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// envRestic names a restic 0.18 that runs on this machine.
const envRestic = "STASH_TEST_RESTIC"

// password opens testdata/repository: an empty repository whose key is derived in no time. Deriving
// a usual key takes half a second of CPU in each run of restic, and these tests run it often.
const password = "correct-horse"

// needRestic skips a test that needs restic where there is none; in CI that is a failure.
func needRestic(t *testing.T) {
	t.Helper()
	if os.Getenv(envRestic) != "" {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not set: it must name a restic 0.18", envRestic)
	}
	t.Skipf("%s is not set: set it to a restic 0.18 to run this test", envRestic)
}

// repo is a local repository with a sidecar's and a worker's view of it.
type repo struct {
	t    *testing.T
	path string
	restic.Repository
}

func newRepo(t *testing.T) repo {
	t.Helper()
	needRestic(t)
	r := repo{t: t, path: filepath.Join(t.TempDir(), "repo")}
	r.Repository = restic.Repository{URL: r.path, Env: map[string]string{"RESTIC_PASSWORD": password}}
	if err := os.CopyFS(r.path, os.DirFS("testdata/repository")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"data", "index", "locks", "snapshots", "tmp"} {
		if err := os.Mkdir(filepath.Join(r.path, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// run runs restic by hand.
func (r repo) run(args ...string) string {
	r.t.Helper()
	cmd := osexec.Command(os.Getenv(envRestic), append([]string{"--no-cache"}, args...)...)
	cmd.Env = []string{"RESTIC_REPOSITORY=" + r.path, "RESTIC_PASSWORD=" + password, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("restic %q: %v", args, err)
	}
	return string(out)
}

// snapshots lists all snapshots, the oldest first.
func (r repo) snapshots() []restic.Snapshot {
	r.t.Helper()
	list, err := restic.ReadSnapshots(strings.NewReader(r.run("snapshots", "--json", "--no-lock")))
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func (r repo) locks() []string {
	r.t.Helper()
	return strings.Fields(r.run("list", "locks", "--no-lock"))
}

func (r repo) backup(id string, paths ...string) protocol.Task {
	return protocol.Task{
		ID: id, Repository: r.Repository,
		Backup: &protocol.Backup{Host: "host-0", Paths: paths, Tags: []string{"stash-session=" + id}},
	}
}

func (r repo) restore(id string, snapshots ...protocol.RestoreSnapshot) protocol.Task {
	return protocol.Task{ID: id, Repository: r.Repository, Restore: &protocol.Restore{Host: "host-0", Snapshots: snapshots}}
}

func (r repo) maintain(id string, m protocol.Maintain) protocol.Task {
	return protocol.Task{ID: id, Repository: r.Repository, Maintain: &m}
}

// tree writes files and returns their folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source", "data")
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files are the names of all that a folder holds but folders, those in folders too.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// describe returns what a folder holds: contents, modes, owners, times and links.
func describe(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat, _ := info.Sys().(*syscall.Stat_t)
		name, _ := filepath.Rel(dir, path)
		line := fmt.Sprintf("%s %v %d:%d %s", name, info.Mode(), stat.Uid, stat.Gid, info.ModTime().UTC().Format("2006-01-02T15:04:05.000000000"))
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %q", text)
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			line += " -> " + to
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func asJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func mustSucceed(t *testing.T, r protocol.Result) {
	t.Helper()
	if r.Error != "" {
		t.Fatalf("the task failed: %s (%s)", r.Error, r.Reason)
	}
}

func mustFail(t *testing.T, r protocol.Result, reason protocol.Reason) {
	t.Helper()
	if r.Error == "" || r.Reason != reason {
		t.Fatalf("result = %q (%s), want reason %s", r.Error, r.Reason, reason)
	}
	if strings.Contains(r.Error, password) {
		t.Fatalf("the error holds the password: %s", r.Error)
	}
}
