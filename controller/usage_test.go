package controller

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

func TestThePodsThatHoldCredentialsAreKnownByTheirHostnames(t *testing.T) {
	repo := repository()
	repo.Status.Holders = []v1alpha1.Holder{{Namespace: "demo", Pod: "old", UID: "u0"}} // of an older build
	w := newWorld(t, interceptor.Funcs{}, repo)
	for _, id := range []broker.Identity{
		{Namespace: "demo", Pod: "web", PodUID: "u1", Hostname: "web"},
		{Namespace: "demo", Pod: "agent", PodUID: "u2", Hostname: "node-1"},
		{Namespace: "demo", Pod: "agent", PodUID: "u2"},
		{Namespace: "demo", Pod: "old", PodUID: "u0", Hostname: "node-1"},
	} {
		if err := w.holds(t.Context(), repo, id); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, h := range read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status.Holders {
		got = append(got, h.UID+" "+host(h))
	}
	if d := cmp.Diff([]string{"u0 node-1", "u1 web", "u2 node-1"}, got); d != "" {
		t.Error(d)
	}
}

// A restic that was stopped while the backend was away could not remove its lock.
func TestALockThatAFailedRestoreMayHaveLeftIsLookedFor(t *testing.T) {
	for name, c := range map[string]struct {
		reason restic.Reason
		failed string
		looked bool
		ended  bool
	}{
		"stopped at the deadline":     {restic.ReasonDeadline, "stopped", true, true},
		"the backend was away":        {restic.ReasonUnreachable, "refused", true, true},
		"it never opened the backend": {restic.ReasonWrongPassword, "wrong password", false, true},
		"it succeeded":                {"", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			repo := repository()
			repo.Status.Holders = []v1alpha1.Holder{{Namespace: "demo", Pod: "db-0", UID: "p9"}, {Namespace: "demo", Pod: "other", UID: "p5"}}
			rs := restoring()
			rs.Spec.Repository.Name = repo.Name
			g := NewAgents(newWorld(t, interceptor.Funcs{}, rs, repo))
			r := protocol.Result{ID: "q1/host-0/p9/2", Finished: noon(), Error: c.failed, Reason: c.reason}
			if err := g.Result(t.Context(), initContainer("p9"), r); err != nil {
				t.Fatal(err)
			}
			st := read(t, g.World, repo.Namespace, repo.Name, &v1alpha1.Repository{}).Status
			if slices.Contains(st.Locks, session.UnknownLock) != c.looked {
				t.Errorf("locks are %v", st.Locks)
			}
			if (st.Holders[0].Ended != nil) != c.ended || st.Holders[1].Ended != nil {
				t.Errorf("holders are %+v", st.Holders)
			}
		})
	}
}
