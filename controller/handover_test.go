package controller

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

// The snapshots of a configuration that is deleted are nobody's to thin out: not either of the one that
// backed the path up before, whose policy may keep far less.
func TestWhatWasTakenOverIsNotTakenBackByDeletion(t *testing.T) {
	repo, c, other := repository(), configuration(), configuration()
	c.Status.Hosts = []v1beta1.HostResult{{
		Hostname: "host-0", Phase: v1beta1.HostBackupSucceeded,
		Snapshots: []v1beta1.SnapshotStats{{Path: "/data"}},
		Complete:  []v1beta1.CompleteSnapshot{{Path: "/data", ID: "a"}, {Path: "/old", ID: "b"}, {Path: "/taken", ID: "c"}},
	}}
	other.Name, other.UID = "other", "other"
	other.Spec.Target.Paths = []string{"/taken"}
	w := newWorld(t, interceptor.Funcs{}, repo, keys(), c, other)
	if got := w.beside(t.Context(), other); !slices.Equal(got, []client.ObjectKey{client.ObjectKeyFromObject(c)}) {
		t.Errorf("who looks at what was taken over: %v", got)
	}
	r := &BackupConfigurations{World: w, Schedule: NewSchedule(w)}
	look := func() {
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(c)}); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if err := w.Delete(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	look()
	f, err := NewAgents(w).forget(t.Context(), repo, "BackupConfiguration/demo/shop")
	if err != nil {
		t.Fatal(err)
	}
	want := []protocol.Group{{Host: "host-0", Path: "/data"}, {Host: "host-0", Path: "/old"}}
	if d := cmp.Diff(want, f.Groups); d != "" {
		t.Errorf("groups (-want +got):\n%s", d)
	}
}

func TestWhenAConfigurationMayTakeSomethingOver(t *testing.T) {
	fresh, edited, resulted := configuration(), configuration(), configuration()
	edited.Generation = 2
	resulted.Status.Hosts = []v1beta1.HostResult{{Hostname: "host-0", Snapshots: []v1beta1.SnapshotStats{{Path: "/data"}}}}
	later := resulted.DeepCopy()
	later.Status.Hosts[0].Session = "shop-2"
	p := takesOver()
	for name, got := range map[string]bool{
		"made":                 p.Create(event.CreateEvent{Object: fresh}),
		"edited":               p.Update(event.UpdateEvent{ObjectOld: fresh, ObjectNew: edited}),
		"its first snapshot":   p.Update(event.UpdateEvent{ObjectOld: fresh, ObjectNew: resulted}),
		"not: at a start":      !p.Create(event.CreateEvent{Object: resulted}),
		"not: another session": !p.Update(event.UpdateEvent{ObjectOld: resulted, ObjectNew: later}),
		"not: deleted":         !p.Delete(event.DeleteEvent{Object: resulted}),
	} {
		if !got {
			t.Error(name)
		}
	}
}
