package session_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

func host(name string, phase v1beta1.HostBackupPhase, incomplete int64, adopted bool) v1beta1.HostBackupStats {
	files := int64(5)
	return v1beta1.HostBackupStats{
		Hostname: name, Phase: phase, Incomplete: incomplete, Adopted: adopted,
		Snapshots: []v1beta1.SnapshotStats{{ID: "abc", Path: "/data", FileStats: v1beta1.FileStats{TotalFiles: &files}}},
	}
}

func TestWhatIsMissingIsSaidAsFarAsItIsKnown(t *testing.T) {
	ok := v1beta1.HostBackupSucceeded
	for name, c := range map[string]struct {
		stats []v1beta1.HostBackupStats
		want  metav1.ConditionStatus
		says  []string
	}{
		"all agents read all":              {[]v1beta1.HostBackupStats{host("a", ok, 0, false)}, "", nil},
		"files could not be read":          {[]v1beta1.HostBackupStats{host("a", ok, 3, false)}, metav1.ConditionTrue, []string{"3 files"}},
		"a result was found":               {[]v1beta1.HostBackupStats{host("a", ok, 0, false), host("b", ok, 0, true)}, metav1.ConditionUnknown, []string{"not known of b:"}},
		"both":                             {[]v1beta1.HostBackupStats{host("a", ok, 3, false), host("b", ok, 0, true)}, metav1.ConditionTrue, []string{"3 files", "not known of b:"}},
		"many results were found, it ends": {[]v1beta1.HostBackupStats{host("a", ok, 0, true), host("b", ok, 0, true), host("c", ok, 0, true), host("d", ok, 0, true)}, metav1.ConditionUnknown, []string{"a, b, c, …:"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := session.Completeness(v1beta1.BackupTargetStatus{Stats: c.stats})
			if ok != (c.want != "") || got.Status != c.want {
				t.Fatalf("%v %+v, want %q", ok, got, c.want)
			}
			for _, text := range c.says {
				if !strings.Contains(got.Message, text) {
					t.Errorf("%q does not say %q", got.Message, text)
				}
			}
		})
	}
}

// Retention protects the newest complete snapshot: one of which nobody knows what it misses must not
// take that place.
func TestAFoundSnapshotIsNotCalledComplete(t *testing.T) {
	st := &v1beta1.BackupConfigurationStatus{}
	for i, adopted := range []bool{false, true} {
		bs := &v1beta1.BackupSession{ObjectMeta: metav1.ObjectMeta{Name: "s", CreationTimestamp: metav1.NewTime(noon().AddDate(0, 0, i))}}
		stats := host("host-0", v1beta1.HostBackupSucceeded, 0, adopted)
		stats.Snapshots[0].ID = map[bool]string{false: "told", true: "found"}[adopted]
		bs.Status.Targets = []v1beta1.BackupTargetStatus{{Stats: []v1beta1.HostBackupStats{stats}}}
		session.TrackHosts(st, bs)
	}
	h := st.Hosts[0]
	if h.Complete[0].ID != "told" || h.Snapshots[0].ID != "found" {
		t.Errorf("complete %+v, newest %+v", h.Complete, h.Snapshots)
	}
}

func TestAnAgentKnowsMoreThanItsSnapshots(t *testing.T) {
	ok, no := v1beta1.HostBackupSucceeded, v1beta1.HostBackupFailed
	of := func(s v1beta1.HostBackupStats, ids ...string) v1beta1.HostBackupStats {
		s.Snapshots = nil
		for _, id := range ids {
			s.Snapshots = append(s.Snapshots, v1beta1.SnapshotStats{ID: id})
		}
		return s
	}
	for name, c := range map[string]struct {
		old, late v1beta1.HostBackupStats
		want      bool
	}{
		"its own word after it was found": {host("a", ok, 0, true), host("a", ok, 2, false), true},
		"its failure with what was found": {of(host("a", ok, 0, true), "a", "b"), of(host("a", no, 0, false), "a", "b"), true},
		"its failure with a part of it":   {of(host("a", ok, 0, true), "a", "b"), of(host("a", no, 0, false), "a"), false},
		"its failure without a snapshot":  {of(host("a", ok, 0, true)), of(host("a", no, 0, false)), false},
		"found after it was told":         {host("a", ok, 2, false), host("a", ok, 0, true), false},
		"found twice":                     {host("a", ok, 0, true), host("a", ok, 0, true), false},
		"told twice":                      {host("a", ok, 2, false), host("a", ok, 0, false), false},
		"a success after a failure":       {host("a", no, 0, false), host("a", ok, 0, true), true},
		"a failure after another":         {host("a", no, 0, false), host("a", no, 0, false), false},
	} {
		t.Run(name, func(t *testing.T) {
			st := &v1beta1.BackupSessionStatus{Targets: []v1beta1.BackupTargetStatus{{Stats: []v1beta1.HostBackupStats{c.old}}}}
			if got := session.RecordBackup(st, c.late); got != c.want || len(st.Targets[0].Stats) != 1 {
				t.Errorf("got %v, %+v", got, st.Targets[0].Stats)
			}
		})
	}
}
