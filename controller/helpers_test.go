package controller

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

func TestFormats(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.000 KiB", 1846835937: "1.720 GiB", 1 << 60: "1024.000 PiB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for want, list := range map[string][]v1beta1.Assignment{
		"":               {{}, {Progress: &v1beta1.Progress{}}},
		"50%, 1m5s left": {{Progress: &v1beta1.Progress{BytesDone: 40, TotalBytes: 100, SecondsLeft: 65}}, {Progress: &v1beta1.Progress{BytesDone: 60, TotalBytes: 100, SecondsLeft: 3}}},
		"100%":           {{Progress: &v1beta1.Progress{BytesDone: 300, TotalBytes: 100}}},
	} {
		if got := progressText(list); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A restore holds its target from the choice of snapshots on; a failed one until it is deleted or
// another one succeeded.
func TestARestoreHoldsItsTarget(t *testing.T) {
	rs := func(phase v1beta1.RestorePhase, pinned, closed, deleted bool) v1beta1.RestoreSession {
		r := v1beta1.RestoreSession{Status: v1beta1.RestoreSessionStatus{Phase: phase}}
		r.Name = string(phase)
		if pinned {
			r.Status.Conditions = []api.Condition{{Type: api.SnapshotsPinned, Status: metav1.ConditionTrue}}
		}
		if closed {
			r.Status.Hash = "h"
		}
		if deleted {
			r.DeletionTimestamp = agoP(0)
		}
		return r
	}
	cases := map[string]struct {
		list []v1beta1.RestoreSession
		want string
		// bars is the one without which no pod starts.
		bars string
	}{
		"none":                              {nil, "", ""},
		"one that looks for snapshots":      {[]v1beta1.RestoreSession{rs(v1beta1.RestorePending, false, false, false)}, "", ""},
		"one that has chosen":               {[]v1beta1.RestoreSession{rs(v1beta1.RestorePending, true, false, false)}, "Pending", ""},
		"one that is being deleted":         {[]v1beta1.RestoreSession{rs(v1beta1.RestoreRunning, true, true, true)}, "", ""},
		"one that failed":                   {[]v1beta1.RestoreSession{rs(v1beta1.RestoreFailed, true, true, false)}, "Failed", "Failed"},
		"one that failed before it began":   {[]v1beta1.RestoreSession{rs(v1beta1.RestoreFailed, false, false, false)}, "", ""},
		"a success after a failure":         {[]v1beta1.RestoreSession{rs(v1beta1.RestoreFailed, true, true, false), rs(v1beta1.RestoreSucceeded, true, true, false)}, "", ""},
		"a failure after a success":         {[]v1beta1.RestoreSession{rs(v1beta1.RestoreSucceeded, true, true, false), rs(v1beta1.RestoreFailed, true, true, false)}, "Failed", "Failed"},
		"an invalid one after a failure":    {[]v1beta1.RestoreSession{rs(v1beta1.RestoreFailed, true, true, false), rs(v1beta1.RestoreInvalid, false, false, false)}, "Failed", "Failed"},
		"the next one, while it is waiting": {[]v1beta1.RestoreSession{rs(v1beta1.RestoreFailed, true, true, false), rs(v1beta1.RestorePending, false, false, false)}, "Failed", "Failed"},
		"a second one beside one that runs": {[]v1beta1.RestoreSession{rs(v1beta1.RestoreRunning, true, true, false), rs(v1beta1.RestorePending, true, false, false)}, "Pending", "Running"},
		"a second one after a failure":      {[]v1beta1.RestoreSession{rs(v1beta1.RestoreFailed, true, true, false), rs(v1beta1.RestorePending, true, false, false)}, "Pending", "Failed"},
		"a second one that has closed":      {[]v1beta1.RestoreSession{rs(v1beta1.RestoreFailed, true, true, false), rs(v1beta1.RestorePending, true, true, false)}, "Pending", "Pending"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := ""
			if h := holder(c.list); h != nil {
				got = h.Name
			}
			if got != c.want {
				t.Errorf("held by %q, want %q", got, c.want)
			}
			bars := ""
			if b := barring(c.list); b != nil {
				bars = b.Name
			}
			if bars != c.bars {
				t.Errorf("pods wait for %q, want %q", bars, c.bars)
			}
		})
	}
}

// The draft's form names no mounts: what is written is what the container mounts.
func TestARestoreWritesWhatItsContainerMounts(t *testing.T) {
	claim := func(name string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c-" + name}}}
	}
	share := corev1.Volume{Name: "share", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs", Path: "/x"}}}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		Volumes: []corev1.Volume{claim("data"), claim("logs"), share},
		InitContainers: []corev1.Container{{Name: api.ContainerRestore, VolumeMounts: []corev1.VolumeMount{
			{Name: "data", MountPath: "/data"}, {Name: "share", MountPath: "/share"},
		}}},
	}}
	want := []target.Place{{Path: "/data", Volume: target.Lasting{Claim: "c-data"}}, {Path: "/share", Volume: target.LastingVolume(pod, &share)}}
	if got := restoredPlaces(pod); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	stripped, err := stripPod(pod)
	if p, ok := stripped.(*corev1.Pod); err != nil || !ok || !slices.Equal(restoredPlaces(p), want) {
		t.Error("the cache's copy of the pod says otherwise")
	}
}

func TestAWorkloadThatWouldNotFollowItsTemplateIsNamed(t *testing.T) {
	two := int32(2)
	sts := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
		Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &two},
	}}}
	if heldBack(target.StatefulSet(), sts) == "" || heldBack(target.Deployment(), &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Paused: true}}) == "" {
		t.Error("it is not")
	}
	if why := heldBack(target.StatefulSet(), &appsv1.StatefulSet{}); why != "" {
		t.Error(why)
	}
}

func TestRolloutsMakeRoom(t *testing.T) {
	r, now := &Rollouts{}, noon()
	for key, want := range map[string]bool{"a": true, "b": false} {
		r.begin("a", 1, now)
		if r.begin(key, 1, now) != want {
			t.Fatalf("%s: the limit does not hold", key)
		}
	}
	if !r.begin("b", 1, now.Add(rolloutLimit+time.Second)) {
		t.Error("a rollout that stands still keeps all others waiting")
	}
	r.end("b")
	if !r.begin("c", 1, now.Add(rolloutLimit+time.Second)) {
		t.Error("a workload that is gone keeps its place")
	}
}

// What the API server fills in must not look like a change, at each reconcile.
func TestStoringTwiceWritesOnce(t *testing.T) {
	writes := 0
	w := newWorld(t, interceptor.Funcs{Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
		writes++
		return c.Update(ctx, obj, opts...)
	}})
	r := &Workloads{World: w, Kind: target.StatefulSet()}
	obj := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}}
	repo, c := repository(), configuration()
	repo.UID, c.UID = "", ""
	repo.Spec.UsagePolicy = &v1alpha1.UsagePolicy{}
	c.Spec.RetryConfig = &v1beta1.RetryConfig{}
	for range 3 {
		if ours, err := r.storeRepository(t.Context(), obj, repo); err != nil || !ours {
			t.Fatal(err)
		}
		if err := r.storeConfiguration(t.Context(), obj, c); err != nil {
			t.Fatal(err)
		}
		// As the definitions say.
		stored := read(t, w, "demo", "repo", &v1alpha1.Repository{})
		stored.Spec.UsagePolicy.AllowedNamespaces.From = v1alpha1.NamespacesFromSame
		config := read(t, w, "demo", "shop", &v1beta1.BackupConfiguration{})
		config.Spec.Driver, config.Spec.RetryConfig.MaxRetry = v1beta1.DriverRestic, new(int32(v1beta1.DefaultMaxRetry))
		for _, o := range []client.Object{stored, config} {
			if err := w.Update(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		writes -= 2
	}
	if writes > 0 {
		t.Errorf("%d writes of what is there already", writes)
	}
}

func TestEventsFitTheirLimit(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	w.event(configuration(), corev1.EventTypeNormal, "x", strings.Repeat("é", 3000))
	n, ok := w.Events.(*notes)
	if !ok || len(n.list) != 1 || len(n.list[0]) > 1024 {
		t.Error("the API server would refuse the event")
	}
}

// Controllers begin before the process is told that it leads: silence before that proves nothing.
func TestALeaderLeadsFromItsFirstLook(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	if !w.Leading().Equal(noon()) {
		t.Errorf("leads since %s", w.Leading())
	}
	w.Now = func() time.Time { return noon().Add(time.Hour) }
	if !w.Leading().Equal(noon()) {
		t.Error("each look is the first")
	}
}
