package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// A worker of an older build does not say that it looked, and looked less.
func TestWhichSnapshotsMayHoldAPartOnly(t *testing.T) {
	for name, c := range map[string]struct {
		found protocol.Maintained
		want  bool
	}{
		"one that was looked into":       {protocol.Maintained{Looked: true, Snapshots: []restic.Snapshot{{ID: "a"}}}, false},
		"one that nobody looked into":    {protocol.Maintained{Snapshots: []restic.Snapshot{{ID: "a"}}}, true},
		"one that was made with exclude": {protocol.Maintained{Looked: true, Snapshots: []restic.Snapshot{{ID: "a", Excludes: []string{"*.ibd"}}}}, true},
		"one that says so":               {protocol.Maintained{Looked: true, Snapshots: []restic.Snapshot{{ID: "a", Tags: []string{api.TagPartial}}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := foundOf(&c.found)[0].Partial; got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}

func TestWhatIsBackedUpByItself(t *testing.T) {
	fresh, known, elsewhere := configuration(), configuration(), configuration()
	fresh.Name, fresh.Spec.Target.Paths = "fresh", []string{"/new"}
	known.Name, known.Spec.Target.Paths = "known", []string{"/named"}
	known.Status.Hosts = []v1beta1.HostResult{{
		Hostname: "host-0", Snapshots: []v1beta1.SnapshotStats{{Path: "/data/db"}},
		Complete: []v1beta1.CompleteSnapshot{{Path: "/given/up"}},
	}}
	elsewhere.Name, elsewhere.Spec.Repository.Name = "elsewhere", "other"
	rs := &v1beta1.RestoreSession{}
	rs.Namespace, rs.Spec.Repository.Name = "demo", "repo"
	got, err := NewAgents(newWorld(t, interceptor.Funcs{}, repository(), fresh, known, elsewhere)).backedUp(t.Context(), rs)
	if d := cmp.Diff(map[string][]string{"": {"/new"}, "host-0": {"/data/db"}}, got); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}
