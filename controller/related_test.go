package controller

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// What is backed up while a claim or a workload that mounts it is restored would be half of it.
func TestARestoreHoldsWhatSharesItsVolumes(t *testing.T) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web"}}
	deployment.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}}}
	sts := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}}
	sts.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	claim := func(name string) v1beta1.TargetRef { return target.PersistentVolumeClaim().Ref("", name) }
	web, db := target.Deployment().Ref("", "web"), target.StatefulSet().Ref("", "db")
	cases := map[string]struct {
		backup, restored v1beta1.TargetRef
		phase            v1beta1.RestorePhase
		hash             string
		held             bool
	}{
		"a claim of the workload":                      {claim("data"), web, v1beta1.RestoreRunning, "h", true},
		"the workload of a claim":                      {web, claim("data"), v1beta1.RestoreRunning, "h", true},
		"a claim of a StatefulSet's template":          {claim("data-db-3"), db, v1beta1.RestoreRunning, "h", true},
		"a claim that only begins like it":             {claim("data-db-x"), db, v1beta1.RestoreRunning, "h", false},
		"another claim":                                {claim("other"), web, v1beta1.RestoreRunning, "h", false},
		"itself":                                       {claim("data"), claim("data"), v1beta1.RestoreRunning, "h", true},
		"itself, after it failed halfway":              {claim("data"), claim("data"), v1beta1.RestoreFailed, "h", true},
		"itself, after it failed with nothing touched": {claim("data"), claim("data"), v1beta1.RestoreFailed, "", false},
		"a claim of the workload, which is restored":   {claim("data"), web, v1beta1.RestoreSucceeded, "h", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rs := &v1beta1.RestoreSession{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "back", UID: "r1"}}
			rs.Spec.Target = &v1beta1.RestoreTarget{Ref: c.restored}
			rs.Status.Phase, rs.Status.Hash = c.phase, c.hash
			rs.Status.Conditions = append(rs.Status.Conditions, condition("SnapshotsPinned", true, "SnapshotsChosen", "", 0))
			objs := []client.Object{deployment.DeepCopy(), sts.DeepCopy(), rs}
			w := newWorld(t, interceptor.Funcs{}, objs...)
			held, err := w.heldBy(t.Context(), c.backup, "demo")
			if err != nil || (held == "back") != c.held {
				t.Errorf("held by %q, %v", held, err)
			}
		})
	}
}
