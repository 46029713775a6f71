package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-731df569/stash/broker/protocol"
)

func TestUnreadableFilesAreNamedAndTheSnapshotIsKept(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ResticBinary = resticWithin(t)
	start(t, c)
	dir := tree(t, map[string]string{"open": "1", "closed": "2"})
	closed := filepath.Join(dir, "closed")
	if err := errors.Join(os.Chown(closed, 2000, 2000), os.Chmod(closed, 0o600)); err != nil {
		t.Fatal(err)
	}

	result := b.stream().do(r.backup("session-1", dir))

	mustSucceed(t, result)
	got := result.Backups[0]
	if got.UnreadableCount != 1 || !slices.Equal(got.Unreadable, []string{closed}) || got.Summary.SnapshotID == "" {
		t.Errorf("backup = %s", asJSON(got))
	}
	if len(r.snapshots()) != 1 {
		t.Error("the snapshot is not kept")
	}
}

// resticWithin makes a program that runs restic as root who may open only what is root's, as any user
// may only what is theirs.
func resticWithin(t *testing.T) (program string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of several users")
	}
	program = filepath.Join(t.TempDir(), "restic")
	write(t, program, "#!/bin/sh\nexec setpriv --bounding-set=-dac_override,-dac_read_search "+os.Getenv(envRestic)+" \"$@\"\n")
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// In a namespace of level restricted the agent is not root. A snapshot that lacks some files is worth
// keeping; one that holds none, since nothing could be read, is no backup.
func TestAPathOfWhichNothingCanBeReadFailsItsHost(t *testing.T) {
	const other = 2000
	r := newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ResticBinary = resticWithin(t)
	start(t, c)
	s := b.stream()
	for name, c := range map[string]struct {
		closed string // what of the folder is another user's alone
		path   string // in the folder
		fails  bool
	}{
		"the folder itself is closed":    {".", ".", true},
		"its only folder is closed":      {"sub", ".", true},
		"its only file is closed":        {"sub/a", ".", true},
		"the file that is named, closed": {"sub/a", "sub/a", true},
		"a fresh volume":                 {"lost+found", ".", false},
		"one file of two is closed":      {"sub/a", "..", false},
		"nothing is closed":              {"", ".", false},
	} {
		data := tree(t, map[string]string{"sub/a": "1"})
		if c.closed == "lost+found" {
			data = tree(t, nil)
			if err := os.Mkdir(filepath.Join(data, c.closed), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		write(t, filepath.Join(filepath.Dir(data), "open"), "2")
		if c.closed != "" {
			closed := filepath.Join(data, c.closed)
			if err := errors.Join(os.Chown(closed, other, other), os.Chmod(closed, 0o700)); err != nil {
				t.Fatal(err)
			}
		}
		task := r.backup("backup with "+name, filepath.Join(data, c.path), filepath.Dir(data)+"/open")
		result := s.do(task)
		switch {
		case !c.fails:
			mustSucceed(t, result)
		case result.Reason != protocol.ReasonUnreadable || !strings.Contains(result.Error, "permission denied") ||
			!strings.Contains(result.Error, `back up "`+filepath.Join(data, c.path)+`": user 0, as whom the agent runs, could read no file of it`):
			t.Errorf("%s: result = %q (%s)", name, result.Error, result.Reason)
		}
		if len(result.Backups) != 2 || result.Backups[1].Summary.TotalFilesProcessed != 1 {
			t.Errorf("%s: backups = %s, want the other path's too", name, asJSON(result.Backups))
		}
	}
}
