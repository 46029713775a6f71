package agent

import (
	"testing"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// restic counts folders, and what is there already among what is done only.
func TestARestoreIsNeverFurtherThanItsTotal(t *testing.T) {
	s := restic.RestoreStatus{
		PercentDone: 0.5, TotalFiles: 4, FilesRestored: 2, FilesSkipped: 30, TotalBytes: 20, BytesRestored: 10, BytesSkipped: 300,
	}
	want := protocol.Progress{Percent: 75, FilesDone: 32, TotalFiles: 34, BytesDone: 310, TotalBytes: 320, Path: "/data"}
	if got := restoreProgress(s, "/data", 1, 2); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
