package controller

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/rollout"
)

// What the broker would refuse is said before an agent asks: the operator moved to an image of another
// name, and the pods have that of before.
func TestASidecarOfAnotherImageIsSaidToBeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		own     string
		trusted []string
		refused bool
	}{
		"a newer version of the image":             {"stash:v2", nil, false},
		"another name":                             {"registry.example/stash:v1", nil, true},
		"another name, and the old one is trusted": {"registry.example/stash:v1", []string{"stash"}, false},
		"another name, and another one is trusted": {"registry.example/stash:v1", []string{"mirror.example/stash"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage()
			hash := s.stamp(t)
			s.pod("db-0", hash, true)
			s.start(t)
			s.Image, s.TrustedImages = c.own, c.trusted
			cond, _ := s.look(t)
			told := strings.Contains(cond.Message, `1 of 1 pods have the sidecar; in 1 of them it gets no work, since it is refused: of pod "db-0", its image is not of registry.example/stash, but stash:v0; where that is meant, start the operator with --trusted-images=stash:v0, else have the pod made anew`)
			if told != c.refused || (cond.Status == metav1.ConditionFalse) != c.refused || (cond.Reason == rollout.ReasonRefused) != c.refused {
				t.Errorf("%s %s: %s", cond.Status, cond.Reason, cond.Message)
			}
			pod := read(t, s.World, "demo", "db-0", &corev1.Pod{})
			if v := s.view(pod, api.ContainerSidecar); (v.Refused != "") != c.refused {
				t.Errorf("sessions see %q", v.Refused)
			}
		})
	}
}

// A configuration whose agents are all refused is not Ready.
func TestAConfigurationWhoseAgentsAreRefusedIsNotReady(t *testing.T) {
	all := []api.Condition{}
	for _, kind := range []string{api.RepositoryFound, api.BackendSecretFound, api.ValidationPassed, api.CronJobCreated, api.BackupTargetFound} {
		all = append(all, condition(kind, true, "Yes", "", 1))
	}
	for ok, want := range map[bool]v1beta1.BackupConfigurationPhase{true: v1beta1.BackupInvokerReady, false: v1beta1.BackupInvokerNotReady} {
		c := configuration()
		c.Status.Conditions = append(slices.Clip(all), condition(api.StashSidecarInjected, ok, rollout.ReasonRefused, "refused", 1))
		if got := phase(c); got != want {
			t.Errorf("%v: %s", ok, got)
		}
	}
}
