package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

func TestASearchAsksForWhatTheRulesRestore(t *testing.T) {
	conf := []string{"/data/conf"}
	for name, c := range map[string]struct {
		rules  []v1beta1.Rule
		pinned []v1beta1.PinnedSnapshot
		want   []protocol.Query
	}{
		"a path of each host": {[]v1beta1.Rule{{Paths: conf}}, nil, []protocol.Query{
			{Host: "host-0", Latest: true, Look: &protocol.Look{Paths: conf}}, {Host: "host-1", Latest: true, Look: &protocol.Look{Paths: conf}},
		}},
		"one host into all": {[]v1beta1.Rule{{SourceHost: "host-7", Paths: conf}}, nil, []protocol.Query{{Host: "host-7", Latest: true, Look: &protocol.Look{Paths: conf}}}},
		"a rule of a host's own": {[]v1beta1.Rule{{Paths: conf}, {TargetHosts: []string{"host-1"}, Exclude: []string{"*.tmp"}}}, nil, []protocol.Query{
			{Host: "host-0", Latest: true, Look: &protocol.Look{Paths: conf}}, {Host: "host-1", Latest: true, Look: &protocol.Look{Rule: 1, Exclude: []string{"*.tmp"}}},
		}},
		"by ID and the latest": {[]v1beta1.Rule{{SourceHost: "host-7", Snapshots: []string{"abc", "latest"}, Include: []string{"a"}}}, nil, []protocol.Query{
			{IDs: []string{"abc"}, Look: &protocol.Look{Include: []string{"a"}}}, {Host: "host-7", Latest: true, Look: &protocol.Look{Include: []string{"a"}}},
		}},
		"only for those that appeared later": {[]v1beta1.Rule{{Paths: conf}}, []v1beta1.PinnedSnapshot{{Hostname: "host-0"}}, []protocol.Query{
			{Host: "host-1", Latest: true, Look: &protocol.Look{Paths: conf}},
		}},
		"no rule for a host": {[]v1beta1.Rule{{TargetHosts: []string{"host-1"}, Paths: conf}}, nil, []protocol.Query{{Host: "host-1", Latest: true, Look: &protocol.Look{Paths: conf}}}},
	} {
		t.Run(name, func(t *testing.T) {
			rs, sts, repo := pinning(2)
			rs.Spec.Target.Rules, rs.Status.Pinned, rs.Spec.Target.Args = c.rules, c.pinned, []string{"--overwrite=always"}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, rs, sts, repo))
			got, err := g.queries(t.Context(), "RestoreSession/demo/back")
			if err != nil {
				t.Fatal(err)
			}
			got = slices.DeleteFunc(got, func(q protocol.Query) bool { return q.Look == nil })
			for i := range c.want {
				c.want[i].Look.Args = rs.Spec.Target.Args
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("looks differ (-want +got):\n%s", d)
			}
		})
	}
}

// A misspelt path is known before the namespace is closed or a pod deleted: the application goes on.
func TestAMisspeltPathTakesNothingDown(t *testing.T) {
	rs, sts, repo := pinning(1)
	rs.Spec.Target.Rules = []v1beta1.Rule{{Paths: []string{"/data/confg"}}}
	repo.Status.Conditions = []api.Condition{{Type: api.BackendReachable, Status: metav1.ConditionTrue}, {Type: api.BackendRepositoryInitialized, Status: metav1.ConditionTrue}}
	w := newWorld(t, interceptor.Funcs{}, rs, sts, repo)
	g := NewAgents(w)
	found := &protocol.Maintained{
		Snapshots: []restic.Snapshot{snapshotOf("host-0")},
		Lacks:     []protocol.Lack{{ID: "id-host-0", Path: "/data/confg", Why: `the snapshot does not hold "/data/confg"`}},
	}
	if err := g.Result(t.Context(), worker(), protocol.Result{ID: "w1", Maintained: found}); err != nil {
		t.Fatal(err)
	}
	o := &session.Restore{Session: read(t, w, "demo", "back", &v1beta1.RestoreSession{}), Repository: repo, Initialized: true, TargetFound: true, HostNames: []string{"host-0"}, Limits: session.DefaultLimits()}
	a := session.NextRestore(o, noon())
	if _, err := (&RestoreSessions{World: w, Ended: func() {}}).act(t.Context(), o, a); err != nil {
		t.Fatal(err)
	}
	st := read(t, w, "demo", "back", &v1beta1.RestoreSession{}).Status
	if st.Phase != v1beta1.RestoreFailed || st.Hash != "" || !strings.Contains(st.Reason, `does not hold "/data/confg"`) || strings.Contains(st.Reason, "delete this RestoreSession") {
		t.Errorf("%s, hash %q: %s", st.Phase, st.Hash, st.Reason)
	}
}

// Whoever looks at a restore that failed in the middle is told what holds the pods, and the way out.
func TestARestoreThatFailedInTheMiddleSaysWhatItHoldsBack(t *testing.T) {
	rs := restoring()
	rs.Status.Assignments = nil
	w := newWorld(t, interceptor.Funcs{}, rs)
	r := &RestoreSessions{World: w, Ended: func() {}}
	if _, err := r.act(t.Context(), &session.Restore{Session: rs}, session.Fail("HostRestoreFailed", "1 of 1 hosts failed: host-0: disk full")); err != nil {
		t.Fatal(err)
	}
	const want = `1 of 1 hosts failed: host-0: disk full; pods of StatefulSet "db" that were not restored do not start: ` +
		"delete this RestoreSession to let them start on the data that is there, or create another one that restores it"
	if st := read(t, w, "demo", "back", &v1beta1.RestoreSession{}).Status; st.Reason != want {
		t.Errorf("it says %q", st.Reason)
	}
	w.Options.Now = func() time.Time { return noon().Add(time.Minute) }
	id := initContainer("p9")
	id.Places = nil
	if o, err := NewAgents(w).Orders(t.Context(), id, func(string) bool { return false }); err != nil || o.Refuse != `RestoreSession "back" failed: `+want {
		t.Errorf("the pod is told %+v, %v", o, err)
	}
}
