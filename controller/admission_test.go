package controller

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/webhook"
)

// What the controller leaves to the user, admission leaves to the user too.
func TestAdmissionWantsWhatTheControllerWants(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*stage, string)
		withheld string
		later    string
	}{
		"at once":                      {func(*stage, string) {}, "", ""},
		"with a rollout of the user's": {func(s *stage, _ string) { s.config.Spec.RolloutPolicy = v1beta1.RolloutOnNext }, "", "OnNextRollout"},
		"not before an emptyDir is lost": {func(s *stage, _ string) {
			s.set.Spec.Template.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
		}, "", `emptyDir "data"`},
		"not what was just withdrawn": {func(s *stage, hash string) {
			next := metav1.NewTime(noon().Add(time.Minute))
			s.config.Status.Sidecar = &v1beta1.SidecarStatus{Stamp: hash, WithdrawnImage: "stash:v1", WithdrawnTime: agoP(time.Minute), WithdrawnMessage: "no such image", NextAttempt: &next}
		}, "no such image", ""},
		"what was withdrawn long ago": {func(s *stage, hash string) {
			s.config.Status.Sidecar = &v1beta1.SidecarStatus{Stamp: hash, WithdrawnImage: "stash:v1", WithdrawnTime: agoP(time.Hour), NextAttempt: agoP(time.Minute)}
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage()
			hash := s.hash(t)
			c.change(s, hash)
			s.start(t)
			got, err := NewAdmission(s.World).Wanted(t.Context(), webhook.Workload{Namespace: "demo", Kind: target.StatefulSet(), Object: s.set})
			if err != nil || !strings.Contains(got.Withheld, c.withheld) || !strings.Contains(got.Later, c.later) || (got.Later != "") != (c.later != "") {
				t.Fatalf("%+v, %v", got, err)
			}
			if (got.Stamp.Inject == "") != (c.withheld != "") {
				t.Errorf("stamp %q", got.Stamp.Inject)
			}
		})
	}
}

// Whoever knows the UID of somebody else's workload may write it into a pod of his own, or into a
// ReplicaSet: what its plan holds of the other's, environment and volumes, is not for him.
func TestAPlanIsForThePodsOfItsWorkload(t *testing.T) {
	s := newStage()
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "evil", Name: "db-1", UID: "rs1", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "w1", Controller: new(true)},
	}}}
	s.objects = append(s.objects, namespace("evil", "shop"), set)
	s.start(t)
	a := NewAdmission(s.World)
	own := mutators.Owner{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "w1"}
	renamed, remade := own, own
	renamed.Name, remade.Kind = "other", "DaemonSet"
	for range 2 { // it is made, then it is known
		if plan, err := a.BackupPlan(t.Context(), webhook.PodRef{Namespace: "demo", Owner: own}); err != nil || plan.Empty() {
			t.Fatalf("%+v, %v", plan, err)
		}
	}
	for name, pod := range map[string]webhook.PodRef{
		"of another namespace":                 {Namespace: "evil", Owner: own},
		"of another namespace by a ReplicaSet": {Namespace: "evil", Owner: mutators.Owner{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "db-1", UID: "rs1"}},
		"of another name":                      {Namespace: "demo", Owner: renamed},
		"of another kind":                      {Namespace: "demo", Owner: remade},
	} {
		if plan, err := a.BackupPlan(t.Context(), pod); err != nil || !plan.Empty() {
			t.Errorf("a pod %s gets %+v, %v", name, plan, err)
		}
	}
}
