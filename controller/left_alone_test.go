package controller

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/target"
)

// one is a restore of host-1 alone, of a StatefulSet whose replicas have claims of their own.
func one(t *testing.T) (*v1beta1.RestoreSession, []client.Object) {
	t.Helper()
	rs, sts, repo := pinning(2)
	rs.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	rs.Spec.Target.Rules = []v1beta1.Rule{{TargetHosts: []string{"host-1"}, Snapshots: []string{"latest"}}}
	sts.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	return rs, []client.Object{rs, sts, repo, replica("db-0"), replica("db-1")}
}

// replica is a pod of the StatefulSet from before the restore.
func replica(name string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, UID: typesUID("p-" + name)}}
	yes := true
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "sts", Controller: &yes}}
	return p
}

func TestOneHostIsRestoredAndTheOtherLeftAlone(t *testing.T) {
	rs, objs := one(t)
	failed := restoring()
	failed.Name, failed.UID, failed.Status.Phase = "before", "q0", v1beta1.RestoreFailed
	failed.Status.Pinned = []v1beta1.PinnedSnapshot{{Hostname: "host-0"}}
	w := newWorld(t, interceptor.Funcs{}, append(objs, failed)...)
	if err := NewAgents(w).Result(t.Context(), worker(), protocol.Result{
		ID: "w1", Maintained: &protocol.Maintained{Snapshots: []restic.Snapshot{snapshotOf("host-0"), snapshotOf("host-1")}},
	}); err != nil {
		t.Fatal(err)
	}
	r := &RestoreSessions{World: w, Ended: func() {}, Probe: func(context.Context, *v1beta1.RestoreSession) (bool, string, error) { return true, "", nil }}
	rs = read(t, w, "demo", "back", rs)
	o, err := r.observe(t.Context(), rs)
	if err != nil {
		t.Fatal(err)
	}
	var old []string
	for _, p := range o.OldPods {
		old = append(old, p.Name)
	}
	if !o.Some || !slices.Equal(o.HostNames, []string{"host-1"}) || !slices.Equal(o.LeftAlone, []string{"host-0"}) || !slices.Equal(old, []string{"db-1"}) {
		t.Errorf("to be restored %v, left alone %v, to be deleted %v", o.HostNames, o.LeftAlone, old)
	}
	if st := rs.Status; len(st.Pinned) != 1 || !slices.Equal(st.LeftAlone, []string{"host-0"}) {
		t.Errorf("%+v", st)
	}
	if o.Unrestored["host-0"] != "before" {
		t.Errorf("held back are %v", o.Unrestored)
	}
	o.LeftAlone = append(o.LeftAlone, "host-2") // it is scaled up
	start(rs, o)
	finishRestoreSession(rs, metav1.NewTime(noon()))
	want := "all hosts that the rules name are restored; left alone, since no rule is for them: host-0, host-2"
	if c := api.FindCondition(rs.Status.Conditions, api.RestoreCompleted); c == nil || c.Message != want {
		t.Errorf("%+v", c)
	}
}

func TestAPodThatIsLeftAloneStartsUnlessARestoreMayWriteUnderIt(t *testing.T) {
	own := func(pod string) target.Place {
		return target.Place{Path: "/data", Volume: target.Lasting{Claim: "data-" + pod}}
	}
	for name, c := range map[string]struct {
		pod    string
		place  target.Place
		owner  string
		phase  v1beta1.RestorePhase
		change func(*v1beta1.RestoreSession)
		starts bool
	}{
		"while another host is restored":       {pod: "db-0", place: own("db-0"), owner: "sts", phase: v1beta1.RestoreRunning, starts: true},
		"after the restore of another failed":  {pod: "db-0", place: own("db-0"), owner: "sts", phase: v1beta1.RestoreFailed, starts: true},
		"not one that is to be restored":       {pod: "db-1", place: own("db-1"), owner: "sts", phase: v1beta1.RestoreRunning},
		"not on the claim of another":          {pod: "db-0", place: own("db-1"), owner: "sts", phase: v1beta1.RestoreRunning},
		"not on a claim that all share":        {pod: "db-0", place: target.Place{Path: "/data", Volume: target.Lasting{Claim: "shared"}}, owner: "sts", phase: v1beta1.RestoreRunning},
		"not on what is mounted elsewhere":     {pod: "db-0", place: target.Place{Path: "/other", Volume: own("db-0").Volume}, owner: "sts", phase: v1beta1.RestoreRunning},
		"not one of another workload":          {pod: "db-0", place: own("db-0"), owner: "other", phase: v1beta1.RestoreRunning},
		"not where a rule is for all the rest": {pod: "db-0", place: own("db-0"), owner: "sts", phase: v1beta1.RestoreRunning, change: func(rs *v1beta1.RestoreSession) { rs.Spec.Target.Rules = append(rs.Spec.Target.Rules, v1beta1.Rule{}) }},
	} {
		t.Run(name, func(t *testing.T) {
			rs, objs := one(t)
			rs.Status = restoring().Status
			rs.Status.Phase, rs.Status.Assignments = c.phase, nil
			if c.change != nil {
				c.change(rs)
			}
			id := initContainer("p-new")
			id.Pod, id.Places, id.Owner = c.pod, []target.Place{c.place, {Path: "/tmp"}}, broker.Owner{Kind: "StatefulSet", Name: "db", UID: typesUID(c.owner)}
			o, err := NewAgents(newWorld(t, interceptor.Funcs{}, objs...)).Orders(t.Context(), id, func(string) bool { return false })
			if err != nil || o.Finish != c.starts {
				t.Errorf("%+v, %v", o, err)
			}
			if why := o.Wait + o.Refuse; !c.starts && strings.TrimSpace(why) == "" {
				t.Errorf("it is not said why it does not start: %+v", o)
			}
		})
	}
}
