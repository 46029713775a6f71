package protocol_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

func long(n int) string { return strings.Repeat("é", n/2) }

func backups(count, unreadable, length int) protocol.Result {
	b := protocol.PathBackup{
		Path: "/data/" + long(length/4), Summary: restic.BackupSummary{SnapshotID: strings.Repeat("a", 64)},
		Unreadable: slices.Repeat([]string{long(length)}, unreadable), UnreadableCount: unreadable,
	}
	return protocol.Result{ID: "s/host-0/1", Backups: slices.Repeat([]protocol.PathBackup{b}, count)}
}

func TestAResultIsLeftAloneWhereItIsShort(t *testing.T) {
	r := backups(3, 2, 40)
	r.Error, r.Reason = "back up: no", protocol.ReasonUnreachable
	r.Maintained = &protocol.Maintained{Snapshots: []restic.Snapshot{{ID: "abc", Paths: []string{"/data"}}}, Locks: []restic.Lock{{ID: "l", Hostname: "web"}}}
	if d := cmp.Diff(r, r.Fitting(protocol.MaxLine)); d != "" {
		t.Error(d)
	}
}

func TestTextsOfAResultAreBounded(t *testing.T) {
	r := backups(3000, 40, 5000)
	r.Error, r.Reason = long(1<<20), protocol.Reason(long(1<<20))
	m := &protocol.Maintained{RepositoryID: long(1 << 20)}
	for range 40 {
		m.Faults = append(m.Faults, long(9000))
	}
	m.Snapshots = []restic.Snapshot{{ID: long(900), Hostname: long(9000), Paths: []string{long(9000)}, Tags: []string{long(9000)}}}
	m.Locks = []restic.Lock{{Hostname: long(9000)}}
	m.Lacks = slices.Repeat([]protocol.Lack{{ID: long(900), Path: long(9000), Why: long(9000)}}, 3000)
	r.Maintained = m
	got := r.Clipped()
	b := got.Backups[0]
	for name, text := range map[string]struct {
		s     string
		limit int
	}{
		"error": {got.Error, protocol.MaxText}, "reason": {string(got.Reason), 64}, "unreadable": {b.Unreadable[0], protocol.MaxName},
		"fault": {got.Maintained.Faults[0], protocol.MaxText}, "repository": {got.Maintained.RepositoryID, 64},
		"host": {got.Maintained.Snapshots[0].Hostname, protocol.MaxName}, "path": {got.Maintained.Snapshots[0].Paths[0], protocol.MaxPath},
		"lacking ID": {got.Maintained.Lacks[0].ID, 64}, "lacking path": {got.Maintained.Lacks[0].Path, protocol.MaxPath}, "why": {got.Maintained.Lacks[0].Why, protocol.MaxText},
		"tag": {got.Maintained.Snapshots[0].Tags[0], protocol.MaxName}, "lock": {got.Maintained.Locks[0].Hostname, protocol.MaxName},
	} {
		if len(text.s) > text.limit || !utf8.ValidString(text.s) {
			t.Errorf("%s has %d bytes", name, len(text.s))
		}
	}
	if len(got.Backups) != protocol.MaxPaths || len(b.Unreadable) != protocol.MaxNamed || len(got.Maintained.Faults) != protocol.MaxNamed {
		t.Errorf("%d paths, %d unreadable, %d faults", len(got.Backups), len(b.Unreadable), len(got.Maintained.Faults))
	}
	if len(got.Maintained.Lacks) != protocol.MaxLacks || len(m.Lacks[0].Why) != 9000 {
		t.Errorf("%d lacks", len(got.Maintained.Lacks))
	}
	if len(r.Error) != 1<<20 || len(m.Faults[0]) != 9000 || len(r.Backups[0].Unreadable[0]) != 5000 || len(m.Locks[0].Hostname) != 9000 {
		t.Error("the original was changed")
	}
}

// A line that is too long ends the stream, and is said again on the next.
func TestAResultFitsIntoALine(t *testing.T) {
	many := protocol.Result{ID: "w", Maintained: &protocol.Maintained{Protected: slices.Repeat([]string{strings.Repeat("a", 64)}, 3000)}}
	for name, c := range map[string]struct {
		result protocol.Result
		limit  int
		names  bool
		fails  string
	}{
		"it is short":                         {backups(3, 20, 100), protocol.MaxLine, true, ""},
		"the names are too long":              {backups(300, 20, 500), protocol.MaxLine, false, ""},
		"the paths are too long":              {backups(2000, 0, 9000), protocol.MaxLine, false, "the list of the snapshots of 2000 paths is too long to be told"},
		"a worker has more to tell than fits": {many, 100 << 10, false, "3000 kept is too long to be told"},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.result.Fitting(c.limit)
			line, err := json.Marshal(protocol.Up{Result: &got})
			if err != nil || len(line) > c.limit {
				t.Errorf("the line has %d bytes: %v", len(line), err)
			}
			if (got.Error != "") != (c.fails != "") || !strings.Contains(got.Error, c.fails) {
				t.Errorf("it says %q", got.Error)
			}
			if names := len(got.Backups) > 0 && len(got.Backups[0].Unreadable) > 0; names != c.names {
				t.Errorf("it names what could not be read: %v", names)
			}
		})
	}
}
