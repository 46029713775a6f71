package agent_test

import (
	"path/filepath"
	"testing"

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

func TestABackupOfAPathThatFailsDoesNotKeepTheOthersBack(t *testing.T) {
	r := newRepo(t)
	b := newBroker(t)
	start(t, configure(t, b, protocol.RoleSidecar))
	s := b.stream()
	data := tree(t, map[string]string{"a": "1"})

	result := s.do(r.backup("session-1", filepath.Join(data, "absent"), data))

	mustFail(t, result, protocol.ReasonPathMissing)
	if len(result.Backups) != 1 || result.Backups[0].Path != data {
		t.Errorf("backups = %s, want that of %s", asJSON(result.Backups), data)
	}
}
