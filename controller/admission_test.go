package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
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
