package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

// What a dry run would remove is not removed: neither a status nor a metric may count it.
func TestRetentionSaysWhatItDid(t *testing.T) {
	for name, c := range map[string]struct {
		found   protocol.Maintained
		removed int64
		want    string
	}{
		"what was removed": {
			protocol.Maintained{Removed: 3, Protected: []string{"a"}},
			3,
			"3 snapshots were removed, 1 kept against the policy",
		},
		"what would be removed": {
			protocol.Maintained{WouldRemove: new(3), Protected: []string{"a"}},
			0,
			"dry run: 3 snapshots would be removed, 1 kept against the policy; nothing was removed",
		},
		"that a dry run found nothing": {
			protocol.Maintained{WouldRemove: new(0)},
			0,
			"dry run: 0 snapshots would be removed, 0 kept against the policy; nothing was removed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo, bs := repository(), running()
			repo.Status.Work = &v1alpha1.RepositoryWork{
				ID: "w1", Operation: v1alpha1.OperationForget, Subject: "BackupConfiguration/demo/shop", SubjectUID: "s1", PodUID: "p1",
			}
			repo.Status.SnapshotsRemovedOnLastCleanup = 7 // of an earlier run
			g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, bs, configuration()))
			if err := g.Create(t.Context(), lease(g.World, repo, "demo/repo/w1", time.Second)); err != nil {
				t.Fatal(err)
			}
			if err := g.Result(t.Context(), worker(), protocol.Result{ID: "w1", Maintained: &c.found}); err != nil {
				t.Fatal(err)
			}
			st := read(t, g.World, "demo", "repo", &v1alpha1.Repository{}).Status
			want := []v1alpha1.RetentionStatus{{Invoker: "BackupConfiguration/demo/shop", Session: "s1", Removed: c.removed}}
			if d := cmp.Diff(want, st.Retentions, cmpopts.IgnoreFields(v1alpha1.RetentionStatus{}, "Time")); d != "" || st.SnapshotsRemovedOnLastCleanup != c.removed {
				t.Errorf("%d removed, %s", st.SnapshotsRemovedOnLastCleanup, d)
			}
			session := read(t, g.World, "demo", bs.Name, &v1beta1.BackupSession{})
			for of, list := range map[string][]api.Condition{"Repository": st.Conditions, "BackupSession": session.Status.Conditions} {
				if got := api.FindCondition(list, api.RetentionPolicyApplied); got == nil || got.Message != c.want {
					t.Errorf("condition of the %s is %+v, want %q", of, got, c.want)
				}
			}
		})
	}
}

// A host whose backup failed keeps all that it has, and both who looks at the Repository and who looks at
// the session are told so.
func TestRetentionSaysWhomItLeftOut(t *testing.T) {
	repo, bs, c := repository(), running(), configuration()
	repo.Status.Work = &v1alpha1.RepositoryWork{
		ID: "w1", Operation: v1alpha1.OperationForget, Subject: "BackupConfiguration/demo/shop", SubjectUID: "s1", PodUID: "p1",
	}
	c.Status.Hosts = []v1beta1.HostResult{{Hostname: "host-0", Phase: v1beta1.HostBackupSucceeded}, {Hostname: "host-1", Phase: v1beta1.HostBackupFailed}}
	g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, bs, c))
	if err := g.Result(t.Context(), worker(), protocol.Result{ID: "w1", Maintained: &protocol.Maintained{Removed: 3}}); err != nil {
		t.Fatal(err)
	}
	const want = "3 snapshots were removed, 0 kept against the policy; all snapshots are kept of hosts whose last backup failed: host-1"
	for of, list := range map[string][]api.Condition{
		"Repository":    read(t, g.World, "demo", "repo", &v1alpha1.Repository{}).Status.Conditions,
		"BackupSession": read(t, g.World, "demo", bs.Name, &v1beta1.BackupSession{}).Status.Conditions,
	} {
		if got := api.FindCondition(list, api.RetentionPolicyApplied); got == nil || got.Message != want {
			t.Errorf("condition of the %s is %+v, want %q", of, got, want)
		}
	}
}

// What a configuration backed up before is its own to thin out, but not what another one has taken over.
func TestRetentionGoesOnWithPathsThatWereGivenUp(t *testing.T) {
	repo, c, other := repository(), configuration(), configuration()
	c.Status.Hosts = []v1beta1.HostResult{{
		Hostname: "host-0", Phase: v1beta1.HostBackupSucceeded,
		Snapshots: []v1beta1.SnapshotStats{{Path: "/data"}},
		Complete:  []v1beta1.CompleteSnapshot{{Path: "/data", ID: "a"}, {Path: "/old", ID: "b"}, {Path: "/taken", ID: "c"}},
	}}
	other.Name, other.UID = "other", "other"
	other.Spec.Target.Paths = []string{"/taken"}
	g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, c, other))
	f, err := g.forget(t.Context(), repo, "BackupConfiguration/demo/shop")
	if err != nil {
		t.Fatal(err)
	}
	want := []protocol.Group{{Host: "host-0", Path: "/data"}, {Host: "host-0", Path: "/old"}}
	if d := cmp.Diff(want, f.Groups); d != "" {
		t.Errorf("groups (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"a", "b", "c"}, f.Protect); d != "" {
		t.Errorf("protected (-want +got):\n%s", d)
	}
	// Nothing is thinned out of a host whose newest backup failed.
	c.Status.Hosts[0].Phase = v1beta1.HostBackupFailed
	g = NewAgents(newWorld(t, interceptor.Funcs{}, repo, c, other))
	if f, err = g.forget(t.Context(), repo, "BackupConfiguration/demo/shop"); err != nil || len(f.Groups) > 0 || len(f.Protect) != 3 {
		t.Errorf("%+v, %v", f, err)
	}
}
