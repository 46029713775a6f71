package controller

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

// What is shown as done is never more than there is; that restic goes on shows all the same.
func TestProgressIsNeverBeyondItsTotal(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, configuration(), running())
	now := noon()
	w.Now = func() time.Time { return now }
	g := NewAgents(w)
	for _, c := range []struct {
		said protocol.Progress
		want v1beta1.Progress
	}{
		{protocol.Progress{FilesDone: 5, BytesDone: 50}, v1beta1.Progress{FilesDone: 5, BytesDone: 50}}, // restic still counts
		{protocol.Progress{FilesDone: 6, TotalFiles: 4, BytesDone: 60, TotalBytes: 10}, v1beta1.Progress{FilesDone: 6, TotalFiles: 6, BytesDone: 60, TotalBytes: 60}},
		{protocol.Progress{FilesDone: 7, TotalFiles: 4, BytesDone: 60, TotalBytes: 90}, v1beta1.Progress{FilesDone: 7, TotalFiles: 7, BytesDone: 60, TotalBytes: 90}},
	} {
		now = now.Add(time.Hour)
		c.said.ID = "s1/host-0/1"
		if err := g.Progress(t.Context(), sidecar("db-0", "p0"), c.said); err != nil {
			t.Fatal(err)
		}
		got := read(t, w, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0].Assignments[0].Progress
		if got == nil || !got.Time.Time.Equal(now) {
			t.Fatalf("it seems to stand still: %+v", got)
		}
		if got.Time = c.want.Time; *got != c.want {
			t.Errorf("%+v, want %+v", *got, c.want)
		}
	}
}
