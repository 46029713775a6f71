package controller

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

func TestWhatIsStoppedAtItsDeadlineSaysHowFarItCame(t *testing.T) {
	stopped := protocol.Result{ID: "s1/host-0/1", Error: "stopped at the deadline", Reason: protocol.ReasonDeadline, Finished: noon()}
	at := &v1beta1.Progress{Percent: 12, BytesDone: 512 << 20, TotalBytes: 4096 << 20, FilesDone: 30, TotalFiles: 900, Time: metav1.NewTime(noon())}
	const want = "stopped at the deadline: 512 of 4096 MiB, 30 of 900 files (12 %) were done, and it last went on at 2026-03-01T12:00:00Z"

	bs := running()
	bs.Status.Targets[0].Assignments[0].Progress = at
	g := NewAgents(newWorld(t, interceptor.Funcs{}, configuration(), bs))
	if err := g.Result(t.Context(), sidecar("db-0", "p0"), stopped); err != nil {
		t.Fatal(err)
	}
	if stats := read(t, g.World, "demo", "shop-1", bs).Status.Targets[0].Stats; len(stats) != 1 || stats[0].Error != want {
		t.Errorf("a backup: %+v", stats)
	}

	rs := restoring()
	rs.Status.Assignments[1].Progress = at
	g = NewAgents(newWorld(t, interceptor.Funcs{}, rs, repository()))
	stopped.ID = "q1/host-0/p9/2"
	if err := g.Result(t.Context(), initContainer("p9"), stopped); err != nil {
		t.Fatal(err)
	}
	if stats := read(t, g.World, "demo", "back", rs).Status.Stats; len(stats) != 1 || stats[0].Error != want {
		t.Errorf("a restore: %+v", stats)
	}
}
