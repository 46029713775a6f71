package target_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/target"
)

func TestVolumesThatOutliveTheirPodsAreKnownByWhatTheyAre(t *testing.T) {
	pod := func(name, node string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name}, Spec: corev1.PodSpec{NodeName: node}}
	}
	hostPath := corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv/data"}}
	hostPathSlash := corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv/data/"}}
	nfs := func(server, path string) corev1.VolumeSource {
		return corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: server, Path: path}}
	}
	claim := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}
	rbd := func(image string) corev1.VolumeSource {
		return corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{CephMonitors: []string{"m"}, RBDImage: image}}
	}
	csi := func(driver, share string) corev1.VolumeSource {
		return corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: driver, VolumeAttributes: map[string]string{"share": share}}}
	}
	type mounted struct {
		pod *corev1.Pod
		src corev1.VolumeSource
	}
	for name, c := range map[string]struct {
		a, b mounted
		same bool
	}{
		"a folder of one node":              {mounted{pod("a", "n1"), hostPath}, mounted{pod("b", "n1"), hostPathSlash}, true},
		"a folder of two nodes":             {mounted{pod("a", "n1"), hostPath}, mounted{pod("b", "n2"), hostPath}, false},
		"a share":                           {mounted{pod("a", "n1"), nfs("s", "/x")}, mounted{pod("b", "n2"), nfs("s", "/x/")}, true},
		"two shares":                        {mounted{pod("a", "n1"), nfs("s", "/x")}, mounted{pod("b", "n1"), nfs("s", "/y")}, false},
		"parts that only look alike joined": {mounted{pod("a", "n1"), nfs("s/", "/x")}, mounted{pod("b", "n1"), nfs("s", "//x")}, false},
		"a claim":                           {mounted{pod("a", "n1"), claim}, mounted{pod("b", "n2"), claim}, true},
		"a share of a driver":               {mounted{pod("a", "n1"), csi("nfs.csi.k8s.io", "/x")}, mounted{pod("b", "n2"), csi("nfs.csi.k8s.io", "/x")}, true},
		"two shares of a driver":            {mounted{pod("a", "n1"), csi("nfs.csi.k8s.io", "/x")}, mounted{pod("b", "n2"), csi("nfs.csi.k8s.io", "/y")}, false},
		"a disk":                            {mounted{pod("a", "n1"), rbd("i")}, mounted{pod("b", "n2"), rbd("i")}, true},
		"two disks":                         {mounted{pod("a", "n1"), rbd("i")}, mounted{pod("b", "n2"), rbd("j")}, false},
		"a claim of each pod's own":         {mounted{pod("a", "n1"), corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}, mounted{pod("b", "n1"), corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := target.LastingVolume(c.a.pod, &corev1.Volume{Name: "v", VolumeSource: c.a.src})
			b := target.LastingVolume(c.b.pod, &corev1.Volume{Name: "v", VolumeSource: c.b.src})
			if (a == b) != c.same || a == (target.Lasting{}) {
				t.Errorf("%+v, %+v", a, b)
			}
		})
	}
	for name, src := range map[string]corev1.VolumeSource{
		"emptyDir":  {EmptyDir: &corev1.EmptyDirVolumeSource{}},
		"configMap": {ConfigMap: &corev1.ConfigMapVolumeSource{}},
		"csi":       csi("hostpath.csi.k8s.io", "x"),
		"projected": {Projected: &corev1.ProjectedVolumeSource{}},
	} {
		if l := target.LastingVolume(pod("a", "n1"), &corev1.Volume{VolumeSource: src}); l != (target.Lasting{}) {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestPlacesAreToldApartByTheirParts(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "u1"}}
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}},
		{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "made", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "hostpath.csi.k8s.io"}}},
		{Name: "folder", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv"}}},
	}
	places := target.Places(pod, []corev1.VolumeMount{
		{Name: "data", MountPath: "/data/", SubPath: "shop/"},
		{Name: "tmp", MountPath: "/data/tmp"},
		{Name: "data", MountPath: "/own", SubPathExpr: "$(POD_NAME)"},
		{Name: "gone", MountPath: "/gone"},
		{Name: "made", MountPath: "/made"},
		{Name: "folder", MountPath: "/folder"},
	})
	claim := target.Lasting{Claim: "c"}
	want := []target.Place{{Path: "/data", Volume: claim, Part: "shop"}, {Path: "/data/tmp", Own: true}, {Path: "/own", Volume: claim, Part: "u1:$(POD_NAME)", Own: true}}
	made, folder := places[len(places)-2], places[len(places)-1]
	if made != (target.Place{Path: "/made", Own: true}) || !folder.Node || folder.Own || folder.Volume.Key == "" {
		t.Errorf("%+v, %+v", made, folder)
	}
	places = places[:len(places)-2]
	if len(places) != len(want) || places[0] != want[0] || places[1] != want[1] || places[2] != want[2] {
		t.Fatalf("%+v", places)
	}
	for path, i := range map[string]int{"/data": 0, "/data/x": 0, "/data/tmp": 1, "/data/tmp/y": 1, "/own/z": 2} {
		if p, ok := target.PlaceOf(places, path); !ok || p != want[i] {
			t.Errorf("%s is at %+v", path, p)
		}
	}
	if p, ok := target.PlaceOf(places, "/datax"); ok {
		t.Errorf("/datax is at %+v", p)
	}
}
