package controller

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
)

// ofClaim is a session of a claim that has no work for any pod yet.
func ofClaim() *v1beta1.BackupSession {
	return &v1beta1.BackupSession{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "data-1", UID: "s1", CreationTimestamp: metav1.NewTime(noon())},
		Spec:       v1beta1.BackupSessionSpec{Invoker: &v1beta1.BackupInvokerRef{APIGroup: api.Group, Kind: v1beta1.KindBackupConfiguration, Name: "data"}},
		Status: v1beta1.BackupSessionStatus{
			Phase: v1beta1.BackupSessionPending, Reason: "making a Job for host-0",
			Targets: []v1beta1.BackupTargetStatus{{Ref: v1beta1.TargetRef{APIVersion: "v1", Kind: "PersistentVolumeClaim", Name: "data"}}},
		},
	}
}

func configurationOfClaim() *v1beta1.BackupConfiguration {
	c := configuration()
	c.Name = "data"
	c.Spec.Target = &v1beta1.BackupTarget{Ref: v1beta1.TargetRef{APIVersion: "v1", Kind: "PersistentVolumeClaim", Name: "data"}}
	return c
}

func jobAgent(namespace, podUID, session string) broker.Identity {
	return broker.Identity{
		Namespace: namespace, Pod: "j-" + podUID, PodUID: podUID, Role: protocol.RoleBackupJob, Session: session,
		Owner: broker.Owner{APIVersion: "batch/v1", Kind: "Job", Name: "j"},
	}
}

func TestAJobsAgentIsToldWhatItIsThereFor(t *testing.T) {
	finished := ofClaim()
	finished.Status.Phase = v1beta1.BackupSessionFailed
	cases := map[string]struct {
		session *v1beta1.BackupSession
		id      broker.Identity
		finish  bool
		says    string
	}{
		"to wait until it is given the work": {ofClaim(), jobAgent("demo", "p1", "s1"), false, "waiting to be given the work: making a Job"},
		"to end when the session has":        {finished, jobAgent("demo", "p1", "s1"), true, ""},
		"to end when the session is gone":    {ofClaim(), jobAgent("demo", "p1", "s0"), true, ""},
		"nothing, in another namespace":      {ofClaim(), jobAgent("other", "p1", "s1"), false, `BackupSession "data-1" has no target in this namespace`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewAgents(newWorld(t, interceptor.Funcs{}, configurationOfClaim(), c.session))
			o, err := g.Orders(t.Context(), c.id, func(string) bool { return false })
			if err != nil || len(o.Tasks) > 0 || o.Finish != c.finish || !strings.Contains(o.Wait+o.Refuse, c.says) || c.says == "" && o.Wait+o.Refuse != "" {
				t.Errorf("orders are %+v, %v", o, err)
			}
		})
	}
}

func TestAJobOfAnotherNamespaceGetsNoWork(t *testing.T) {
	bs := ofClaim()
	bs.Status.Phase = v1beta1.BackupSessionRunning
	bs.Status.Targets[0].Assignments = []v1beta1.Assignment{{ID: "s1/host-0/1", Hostname: "host-0", PodUID: "p1", Attempt: 1}}
	g := NewAgents(newWorld(t, interceptor.Funcs{}, configurationOfClaim(), bs))
	for name, id := range map[string]broker.Identity{
		"in another namespace":             jobAgent("other", "p2", "s1"),
		"of another session":               jobAgent("demo", "p2", "s2"),
		"beside the one that has the work": jobAgent("demo", "p2", "s1"),
	} {
		o, err := g.Orders(t.Context(), id, func(string) bool { return false })
		if err != nil || len(o.Tasks) > 0 {
			t.Errorf("%s: orders are %+v, %v", name, o, err)
		}
		if err := g.Result(t.Context(), id, success("s1/host-0/1")); err != nil {
			t.Fatal(err)
		}
		if got := read(t, g.World, "demo", "data-1", &v1beta1.BackupSession{}).Status.Targets[0]; len(got.Stats) > 0 || len(got.Assignments) != 1 {
			t.Errorf("%s: its word was taken: %+v", name, got)
		}
	}
}

// What was finished before the work was taken away counts, as it does for sidecars.
func TestALateResultOfAJobCounts(t *testing.T) {
	bs := ofClaim()
	bs.Status.Phase = v1beta1.BackupSessionRunning
	bs.Status.Targets[0].Released = []v1beta1.ReleasedHost{{Hostname: "host-0", Attempts: 1}}
	g := NewAgents(newWorld(t, interceptor.Funcs{}, configurationOfClaim(), bs))
	if err := g.Result(t.Context(), jobAgent("demo", "p1", "s1"), success("s1/host-0/1")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, g.World, "demo", "data-1", &v1beta1.BackupSession{}).Status.Targets[0].Stats; len(got) != 1 {
		t.Errorf("results: %+v", got)
	}
}
