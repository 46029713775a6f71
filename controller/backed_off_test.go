package controller

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
)

// Pods of a Deployment were refused while its restore failed. Whoever deletes the restore does not wait
// for the ReplicaSet's next attempt, which is up to 1000 s away.
func TestADeletedRestoreHasReplicaSetsTryAgain(t *testing.T) {
	gone, other := mutators.HashRestore("gone"), mutators.HashRestore("other")
	set := func(hash string, want, have int32) *appsv1.ReplicaSet {
		labels := map[string]string{api.LabelRestore: hash}
		if hash == "" {
			labels = nil
		}
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "demo", Name: "web-1", UID: "set", Labels: labels,
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "web", Controller: new(true)}},
			},
			Spec:   appsv1.ReplicaSetSpec{Replicas: &want, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}},
			Status: appsv1.ReplicaSetStatus{Replicas: have},
		}
	}
	for name, c := range map[string]struct {
		set      *appsv1.ReplicaSet
		deleting bool
		want     string
	}{
		"one that is short of pods":               {set(gone, 1, 0), false, gone},
		"one whose restore waits for a finalizer": {set(gone, 1, 0), true, gone},
		"one that has them":                       {set(gone, 1, 1), false, ""},
		"an old revision":                         {set(gone, 0, 0), false, ""},
		"one of another restore":                  {set(other, 1, 0), false, ""},
		"one that was never restored":             {set("", 1, 0), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			second := restoring()
			second.Name, second.UID, second.Status.Hash = "other", "other", other
			objs := []client.Object{second, c.set}
			if c.deleting {
				rs := restoring()
				rs.Name, rs.UID, rs.Status.Hash, rs.Status.Phase = "gone", "gone", gone, v1beta1.RestoreFailed
				rs.Finalizers, rs.DeletionTimestamp = []string{"example.com/waits"}, agoP(0)
				objs = append(objs, rs)
			}
			w := newWorld(t, interceptor.Funcs{}, objs...)
			r := &RestoreSessions{World: w, Ended: func() {}}
			for range 2 {
				if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "demo", Name: "gone"}}); err != nil {
					t.Fatal(err)
				}
			}
			got := read(t, w, "demo", "web-1", &appsv1.ReplicaSet{})
			if got.Annotations[annotationTouched] != c.want {
				t.Errorf("touched for %q, want %q", got.Annotations[annotationTouched], c.want)
			}
		})
	}
}
