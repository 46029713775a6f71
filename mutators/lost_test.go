package mutators_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/mutators"
)

func TestWhatGoesWithItsPodIsNamed(t *testing.T) {
	plan, _ := plansFor(true, mutators.Privileged, true) // of volume "data"
	volume := func(name string, s corev1.VolumeSource) *corev1.PodSpec {
		return &corev1.PodSpec{Volumes: []corev1.Volume{{Name: name, VolumeSource: s}}}
	}
	empty := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	for name, c := range map[string]struct {
		pod    *corev1.PodSpec
		claims []string
		want   string
	}{
		"an emptyDir":                    {volume("data", empty), nil, `emptyDir "data"`},
		"an ephemeral volume":            {volume("data", corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}), nil, `ephemeral volume "data"`},
		"one that nobody backs up":       {volume("cache", empty), nil, ""},
		"a claim":                        {volume("data", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}), nil, ""},
		"one that a claim stands in for": {volume("data", empty), []string{"data"}, ""},
	} {
		if got := plan.Lost(c.pod, c.claims...); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
