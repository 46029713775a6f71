package session_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// ended is a session, so many hours old, whose hosts succeeded.
func ended(name string, hours, hosts, paths int, of string) *v1beta1.BackupSession {
	bs := &v1beta1.BackupSession{}
	bs.Name, bs.UID, bs.CreationTimestamp = name, "u", metav1.NewTime(noon().Add(-time.Duration(hours)*time.Hour))
	files := int64(1_000_000)
	t := v1beta1.BackupTargetStatus{}
	for i := range hosts {
		s := v1beta1.HostBackupStats{Hostname: fmt.Sprintf("%s-%d", of, i), Phase: v1beta1.HostBackupSucceeded, Duration: "1m12.123s"}
		for p := range paths {
			s.Snapshots = append(s.Snapshots, v1beta1.SnapshotStats{
				Name: "01234567", ID: fmt.Sprintf("%064d", i*paths+p), Path: fmt.Sprintf("/data/%d", p),
				TotalSize: "1.720 GiB", Uploaded: "1.200 GiB", ProcessingTime: "12:12", TotalBytes: 1 << 40, UploadedBytes: 1 << 40,
				FileStats: v1beta1.FileStats{TotalFiles: &files, NewFiles: &files, ModifiedFiles: &files, UnmodifiedFiles: &files},
			})
		}
		t.Stats = append(t.Stats, s)
	}
	bs.Status.Targets = []v1beta1.BackupTargetStatus{t}
	return bs
}

// Each look at a configuration tracks all of its finished sessions again, the oldest first.
func TestAnOlderSessionDoesNotTakeThePlaceOfANewerOneInTheRecord(t *testing.T) {
	old, now := ended("old", 2, target.MaxHosts, 1, "gone"), ended("now", 1, target.MaxHosts-10, 1, "node")
	st := &v1beta1.BackupConfigurationStatus{}
	for range 3 {
		session.TrackHosts(st, old)
		session.TrackHosts(st, now)
		session.TrackHosts(st, old)
		of := map[string]int{}
		for _, h := range st.Hosts {
			of[h.Session]++
		}
		if of["now"] != target.MaxHosts-10 || of["old"] != 10 {
			t.Fatalf("recorded of sessions: %v", of)
		}
	}
}

func TestTheRecordFitsIntoAnObject(t *testing.T) {
	for paths, all := range map[int]bool{1: true, 3: false} {
		st := &v1beta1.BackupConfigurationStatus{}
		session.TrackHosts(st, ended("now", 1, target.MaxHosts, paths, "host"))
		text, err := json.Marshal(st)
		owners := 300 * len(st.Hosts) // that the API server keeps beside
		if err != nil || len(text)+owners > 1_300_000 || (len(st.Hosts) == target.MaxHosts) != all || len(st.Hosts) < 300 {
			t.Errorf("%d hosts of %d paths in %d bytes, %v", len(st.Hosts), paths, len(text)+owners, err)
		}
	}
}
