package target_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seed-731df569/stash/target"
)

func TestWhereHostsHaveTheirVolumesForThemselves(t *testing.T) {
	claim := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "shared"}}
	spec := corev1.PodSpec{Volumes: []corev1.Volume{
		{Name: "shared", VolumeSource: claim},
		{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
		{Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv"}}},
		{Name: "share", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nas", Path: "/x"}}},
		{Name: "both", VolumeSource: claim}, // a claim template of the same name wins
	}}
	template := corev1.PodTemplateSpec{Spec: spec}
	sts := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Template: template, VolumeClaimTemplates: []corev1.PersistentVolumeClaim{
		{ObjectMeta: metav1.ObjectMeta{Name: "data"}}, {ObjectMeta: metav1.ObjectMeta{Name: "both"}},
	}}}
	ds := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template}}
	at := func(names ...string) []corev1.VolumeMount {
		var out []corev1.VolumeMount
		for _, n := range names {
			out = append(out, corev1.VolumeMount{Name: n, MountPath: "/" + n})
		}
		return out
	}
	part, named := at("data"), at("data")
	part[0].SubPath, named[0].SubPathExpr = "a", "$(POD_NAME)"
	for name, c := range map[string]struct {
		obj    runtime.Object
		mounts []corev1.VolumeMount
		want   bool
	}{
		"a claim of each replica":                     {sts, at("data"), true},
		"a part of a claim of each replica":           {sts, part, true},
		"a part that is named after the pod":          {sts, named, false},
		"a claim of each replica in place of another": {sts, at("both"), true},
		"a claim of each replica beside a shared one": {sts, at("data", "shared"), false},
		"a claim of each replica beside an emptyDir":  {sts, at("data", "cache"), false},
		"a claim that goes with the pod":              {sts, at("scratch"), false},
		"a folder of a node that replicas may share":  {sts, at("node"), false},
		"a volume that the template does not have":    {sts, at("data", "nowhere"), false},
		"nothing":               {sts, nil, false},
		"a folder of each node": {ds, at("node"), true},
		"a folder of each node beside an emptyDir":       {ds, at("node", "cache"), false},
		"a claim that all nodes share":                   {ds, at("shared"), false},
		"a share":                                        {ds, at("share"), false},
		"the pods of a Deployment, which are one host":   {&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: template}}, at("shared"), false},
		"a folder of the node of a Deployment's one pod": {&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: template}}, at("node"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := target.Apart(c.obj, c.mounts); got != c.want {
				t.Errorf("apart: %t", got)
			}
		})
	}
}
