package controller

import (
	"context"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// A pod whose volumes were restored in part, by another pod that may use them now, gets the rest.
func TestAVolumeThatAnotherPodRestoredIsLeftAlone(t *testing.T) {
	claim := func(name, uid string) client.Object {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, UID: typesUID(uid)}}
	}
	share := target.Lasting{Key: "nfs:1"}
	places := []target.Place{
		{Path: "/data", Volume: target.Lasting{Claim: "data-1"}},
		{Path: "/data/tmp"}, // dies with the pod
		{Path: "/shared", Volume: target.Lasting{Claim: "shared"}},
		{Path: "/share", Volume: share},
		{Path: "/part", Volume: share, Part: "db-1"},
	}
	var pins []v1beta1.PinnedSnapshot
	for _, p := range []string{"/data", "/data/tmp/x", "/shared/files", "/share", "/part", "/nowhere"} {
		pins = append(pins, v1beta1.PinnedSnapshot{Path: p})
	}
	for name, c := range map[string]struct {
		restored []string
		want     []string
	}{
		"nothing was":           {nil, []string{"/data", "/data/tmp/x", "/shared/files", "/share", "/part", "/nowhere"}},
		"the shared claim":      {[]string{"v-shared"}, []string{"/data", "/data/tmp/x", "/share", "/part", "/nowhere"}},
		"the share, all of it":  {[]string{"nfs:1"}, []string{"/data", "/data/tmp/x", "/shared/files", "/part", "/nowhere"}},
		"its part of the share": {[]string{"nfs:1/db-1"}, []string{"/data", "/data/tmp/x", "/shared/files", "/share", "/nowhere"}},
		"another pod's part":    {[]string{"nfs:1/db-0"}, []string{"/data", "/data/tmp/x", "/shared/files", "/share", "/part", "/nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			rs := restoring()
			rs.Status.Restored = []v1beta1.RestoredHost{{Hostname: "host-0", PodUID: "p-other", Claims: c.restored}}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, rs, claim("data-1", "v-data"), claim("shared", "v-shared")))
			id := initContainer("p9")
			id.Places = places
			left, err := g.unrestored(t.Context(), rs, id, pins)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range left {
				got = append(got, p.Path)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("left are %v, want %v", got, c.want)
			}
		})
	}
}

func TestAPodForWhichNothingIsLeftIsDone(t *testing.T) {
	rs := restoring()
	rs.Status.Restored = []v1beta1.RestoredHost{{Hostname: "host-1", PodUID: "p-other", Claims: []string{"v1"}}}
	rs.Status.Pinned = []v1beta1.PinnedSnapshot{{Hostname: "host-0", Path: "/data", ID: "a"}}
	g := NewAgents(newWorld(t, interceptor.Funcs{}, rs,
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "data", UID: "v1"}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "logs", UID: "v2"}}))
	id := initContainer("p9")
	// The second volume holds nothing that the session restores, and so nobody restored it.
	id.Places = append(id.Places, target.Place{Path: "/logs", Volume: target.Lasting{Claim: "logs"}})
	if o, err := g.Orders(t.Context(), id, func(string) bool { return false }); err != nil || len(o.Tasks) > 0 {
		t.Fatalf("%+v, %v", o, err)
	}
	st := read(t, g.World, "demo", "back", &v1beta1.RestoreSession{}).Status
	if len(st.Restored) != 2 || st.Restored[1].PodUID != "p9" || len(st.Stats) != 1 || st.Stats[0].Phase != v1beta1.HostRestoreSucceeded {
		t.Errorf("%+v", st)
	}
	if o, err := g.Orders(t.Context(), id, func(string) bool { return false }); err != nil || !o.Finish {
		t.Errorf("%+v, %v", o, err)
	}
}

// Two pods of a Deployment on one share: the second must not be restored under the first.
func TestPodsOnOneShareAreSeenToShareIt(t *testing.T) {
	pod := func(name, node string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, UID: typesUID(name)}}
		p.Spec.NodeName = node
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv"}}}}
		p.Spec.InitContainers = []corev1.Container{{Name: api.ContainerRestore, VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}}
		return p
	}
	a, b, c := pod("a", "n1"), pod("b", "n1"), pod("c", "n2")
	w := newWorld(t, interceptor.Funcs{}, a, b, c)
	ids := map[string]string{}
	for _, p := range []*corev1.Pod{a, b, c} {
		got, err := w.volumeIDs(t.Context(), "demo", restoredPlaces(p))
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		ids[p.Name] = got[0]
	}
	if ids["a"] != ids["b"] || ids["a"] == ids["c"] {
		t.Errorf("%v", ids)
	}
	other, err := (&RestoreSessions{World: w}).sharedWith(t.Context(), a, restoredPlaces(a), "hash")
	if err != nil || other != "b" {
		t.Errorf("shared with %q, %v", other, err)
	}
}

// A pod that shares a claim and has an emptyDir of its own is not let pass for the claim alone.
func TestAPodWithAVolumeOfItsOwnIsRestoredItself(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "data", UID: "v1"}}
	for name, c := range map[string]struct {
		path   string
		passes bool
	}{
		"only the claim is restored":   {"/data", true},
		"the emptyDir is restored too": {"/cache", false},
	} {
		t.Run(name, func(t *testing.T) {
			rs := restoring()
			rs.Status.Assignments = nil
			rs.Status.Restored = []v1beta1.RestoredHost{{Hostname: "host-0", PodUID: "p0", Claims: []string{"v1"}}}
			rs.Status.Pinned = []v1beta1.PinnedSnapshot{{Hostname: "host-0", ID: "a", Path: "/data"}, {Hostname: "host-0", ID: "b", Path: c.path}}
			id := initContainer("p9")
			id.Places = append(id.Places, target.Place{Path: "/cache", Own: true})
			for _, phase := range []v1beta1.RestorePhase{v1beta1.RestoreRunning, v1beta1.RestoreFailed} {
				rs := rs.DeepCopy()
				rs.Status.Phase = phase
				o, err := NewAgents(newWorld(t, interceptor.Funcs{}, rs, claim)).Orders(t.Context(), id, func(string) bool { return false })
				if err != nil || o.Finish != c.passes {
					t.Errorf("%s: %+v, %v", phase, o, err)
				}
			}
		})
	}
}

// What is waited for is known of the template, before there is any pod, and of each pod.
func TestARestoreKnowsWhichVolumesArePodsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		volume corev1.VolumeSource
		mounts []corev1.VolumeMount
		own    bool
	}{
		"a claim":             {corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}, []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}, false},
		"an emptyDir":         {corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}, true},
		"an ephemeral one":    {corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}, []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}, true},
		"a folder of a pod's": {corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs", Path: "/x"}}, []corev1.VolumeMount{{Name: "data", MountPath: "/data", SubPathExpr: "$(POD_NAME)"}}, true},
		"one of a driver":     {corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "hostpath.csi.k8s.io"}}, []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}, true},
		"a folder of a node":  {corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv"}}, []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			rs := restoring()
			rs.Spec.Target.Ref.Kind, rs.Spec.Target.Ref.Name = "Deployment", "web"
			rs.Spec.Target.Rules, rs.Spec.Target.VolumeMounts = []v1beta1.Rule{{Paths: []string{"/data"}}}, c.mounts
			rs.Status.Assignments, rs.Status.Pinned = nil, []v1beta1.PinnedSnapshot{{Hostname: "host-0", ID: "a", Path: "/data"}}
			labels := map[string]string{api.LabelRestore: rs.Status.Hash}
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web", UID: "web"}}
			d.Spec.Replicas, d.Spec.Template.Labels = new(int32(3)), labels
			app := corev1.Container{Name: "app", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}
			d.Spec.Template.Spec = corev1.PodSpec{Volumes: []corev1.Volume{{Name: "data", VolumeSource: c.volume}}, Containers: []corev1.Container{app}}
			set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "set", UID: "set", OwnerReferences: controlledBy("Deployment", "web")}}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web-1", UID: "p1", Labels: labels, OwnerReferences: controlledBy("ReplicaSet", "set")}, Spec: d.Spec.Template.Spec}
			pod.Spec.InitContainers = []corev1.Container{{Name: api.ContainerRestore, VolumeMounts: c.mounts}}
			r := &RestoreSessions{
				World: newWorld(t, interceptor.Funcs{}, rs, d, set, pod, repository()),
				Probe: func(context.Context, *v1beta1.RestoreSession) (bool, string, error) { return true, "", nil },
			}
			o, err := r.observe(t.Context(), rs)
			if err != nil || len(o.Hosts) != 1 {
				t.Fatalf("%+v, %v", o, err)
			}
			// A pod beside another one on its node is restored when that one is: its folder tells.
			ofPod := c.own && c.volume.HostPath == nil
			if o.Wanted != 3 || o.Own != c.own || o.Hosts[0].Pods[0].Own != ofPod {
				t.Errorf("%d are wanted, own volumes: %v, of the pod: %v", o.Wanted, o.Own, o.Hosts[0].Pods[0].Own)
			}
		})
	}
}
