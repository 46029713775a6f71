package controller

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

func TestASuccessThatIsToldLateIsTheLastSuccess(t *testing.T) {
	c := configuration()
	late, next := finished("late", 3*time.Hour, v1beta1.BackupSessionFailed), finished("next", time.Hour, v1beta1.BackupSessionFailed)
	for _, bs := range []*v1beta1.BackupSession{finished("first", 5*time.Hour, v1beta1.BackupSessionSucceeded), late, next} {
		track(c, bs)
	}
	late.Status.Phase = v1beta1.BackupSessionSucceeded // its agent is connected again
	late.Status.Targets[0].Stats[0] = v1beta1.HostBackupStats{Hostname: "host-0", Phase: v1beta1.HostBackupSucceeded, Snapshots: []v1beta1.SnapshotStats{{Name: "0123", Path: "/data"}}}
	for range 2 { // looked at again and again
		track(c, late)
	}
	st := c.Status
	if st.LastSession.Name != "next" || !st.LastSuccessTime.Equal(agoP(3*time.Hour)) {
		t.Errorf("last %+v, success %v", st.LastSession, st.LastSuccessTime)
	}
	h := st.Hosts[0]
	if h.Phase != v1beta1.HostBackupFailed || h.Session != "next" || !h.LastSuccessTime.Equal(agoP(3*time.Hour)) || len(h.Snapshots) != 1 {
		t.Errorf("the host: %+v", h)
	}
}

func TestASessionThatAnAgentMayStillTellOfIsKept(t *testing.T) {
	told := func(bs *v1beta1.BackupSession) { bs.Status.Targets[0].Stats[0].Pod = "db-0" }
	for name, c := range map[string]struct {
		ended time.Duration
		shape func(*v1beta1.BackupSession)
		kept  bool
	}{
		"an agent was given up an hour ago":    {time.Hour, func(*v1beta1.BackupSession) {}, true},
		"an agent was given up a day ago":      {25 * time.Hour, func(*v1beta1.BackupSession) {}, false},
		"an agent told of the failure":         {time.Hour, told, false},
		"the session succeeded":                {time.Hour, func(bs *v1beta1.BackupSession) { bs.Status.Phase = v1beta1.BackupSessionSucceeded }, false},
		"a newer one is kept for that already": {time.Hour, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			bs := finished("old", 30*time.Hour, v1beta1.BackupSessionFailed)
			bs.Status.CompletionTime = agoP(c.ended)
			objects := []client.Object{bs, finished("new", 0, v1beta1.BackupSessionSucceeded)}
			if c.shape == nil {
				newer := finished("newer", 20*time.Hour, v1beta1.BackupSessionFailed)
				newer.Status.CompletionTime = agoP(c.ended)
				objects = append(objects, newer)
			} else {
				c.shape(bs)
			}
			config := configuration()
			w := newWorld(t, interceptor.Funcs{}, append(objects, config)...)
			clean(t, &BackupConfigurations{World: w}, config)
			list := &v1beta1.BackupSessionList{}
			if err := w.List(t.Context(), list, client.InNamespace("demo")); err != nil {
				t.Fatal(err)
			}
			kept := false
			for i := range list.Items {
				kept = kept || list.Items[i].Name == "old"
			}
			if kept != c.kept {
				t.Errorf("left are %v", keysOf(list.Items))
			}
		})
	}
}

func TestASessionCountsNodesThatHaveNoPod(t *testing.T) {
	bs := newSession(configuration(), "s")
	o := &session.Backup{Session: bs, Invoker: configuration(), Hosts: []session.Host{{Name: "n1"}, {Name: "n2"}}, Wanted: 3}
	record(bs, o, session.Action{Kind: session.KindAssign}, noon())
	if n := bs.Status.Targets[0].TotalHosts; n == nil || *n != 3 {
		t.Errorf("%v hosts", n)
	}
	// A result that comes late does not make a success of it.
	bs.Status.Targets[0].Stats = []v1beta1.HostBackupStats{{Hostname: "n1", Phase: v1beta1.HostBackupSucceeded}, {Hostname: "n2", Phase: v1beta1.HostBackupFailed}}
	bs.Status.Phase = v1beta1.BackupSessionFailed
	recordResult(bs, v1beta1.HostBackupStats{Hostname: "n2", Phase: v1beta1.HostBackupSucceeded}, report{finished: noon(), now: noon()})
	if bs.Status.Phase != v1beta1.BackupSessionFailed {
		t.Errorf("it is %s: %s", bs.Status.Phase, bs.Status.Reason)
	}
}

func TestADaemonSetSaysHowManyPodsItWants(t *testing.T) {
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db", UID: "w1"}}
	set.Status.DesiredNumberScheduled = 3
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db-x", UID: "p1", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "db", UID: "w1", Controller: new(true)},
	}}}
	pending := pod.DeepCopy()
	pending.Name, pending.UID, pod.Spec.NodeName = "db-y", "p2", "n1"
	c := configuration()
	c.Spec.Target.Ref.Kind = "DaemonSet"
	r := &BackupSessions{World: newWorld(t, interceptor.Funcs{}, set, pod, pending)}
	o := &session.Backup{Invoker: c, Pods: map[string]session.Pod{}}
	if err := r.observeTarget(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if len(o.Hosts) != 1 || o.Hosts[0].Name != "n1" || o.Wanted != 3 {
		t.Errorf("%d wanted, hosts %+v", o.Wanted, o.Hosts)
	}
}
