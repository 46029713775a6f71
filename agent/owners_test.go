package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/broker/protocol"
)

// nonRoot prepares a restore that user 1000 runs: dir belongs to it.
func nonRoot(t *testing.T, foreign string) (x restorer) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of several users")
	}
	const uid, gid = 1000, 1000
	x.repo = newRepo(t)
	b := newBroker(t)
	x.dir = tree(t, map[string]string{"mine": "1", "sub/mine": "2", "sub/theirs": "3"})
	err := filepath.WalkDir(x.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if filepath.Base(path) == foreign {
			return os.Chown(path, 2000, 2000)
		}
		return os.Chown(path, uid, gid)
	})
	if err != nil {
		t.Fatal(err)
	}
	x.run("backup", "-q", "--host", "host-0", x.dir)
	x.id, x.was = x.snapshots()[0].ID, describe(t, x.dir)
	c := configure(t, b, protocol.RoleInit)
	for _, path := range []string{x.dir, c.WorkDir, x.path} {
		if err := chownAll(path, uid, gid, path == x.dir); err != nil {
			t.Fatal(err)
		}
	}
	openParents(t, x.dir, c.WorkDir, x.path, c.TokenFile, c.CAFile)
	startAs(t, c, uid, gid)
	x.s = b.stream()
	return x
}

// chownAll gives a folder and what is in it away, or empties it and keeps the folder.
func chownAll(dir string, uid, gid int, empty bool) error {
	if empty {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	})
}

// openParents lets other users through to the tests' folders.
func openParents(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		for dir := filepath.Dir(path); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestARestoreThatWouldLoseOwnersFailsBeforeItWrites(t *testing.T) {
	x := nonRoot(t, "theirs")
	task := x.restore("restore-1", x.snapshot())
	x.s.say(protocol.Down{Task: &task})
	x.s.accepted(task.ID)
	result := x.s.result(task.ID)
	mustFail(t, result, protocol.ReasonOwnership)
	if !strings.Contains(result.Error, "1 files") || !strings.Contains(result.Error, "sub/theirs") || !strings.Contains(result.Error, "2000:2000") {
		t.Errorf("the error names no count or example: %s", result.Error)
	}
	if entries, _ := os.ReadDir(x.dir); len(entries) > 0 {
		t.Errorf("something was written: %v", entries)
	}

	// What is left out may belong to anybody.
	s := x.snapshot()
	s.Exclude = []string{x.dir + "/sub/theirs"}
	mustSucceed(t, x.s.do(x.restore("restore-2", s)))
	if _, err := os.Stat(filepath.Join(x.dir, "sub", "mine")); err != nil {
		t.Error(err)
	}
}

func TestANonRootRestoreOfItsOwnFilesIsComplete(t *testing.T) {
	x := nonRoot(t, "nobody's")
	mustSucceed(t, x.s.do(x.restore("restore-1", x.snapshot())))
	if diff := cmp.Diff(x.was, describe(t, x.dir)); diff != "" {
		t.Errorf("what came back differs:\n%s", diff)
	}
}
