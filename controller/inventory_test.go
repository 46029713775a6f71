package controller

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

func TestAConfigurationThatIsNotReadyProtectsNothingAndSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		phase     v1beta1.BackupConfigurationPhase
		condition string
		status    metav1.ConditionStatus
		want      string
	}{
		"nobody has looked at it yet":   {"", api.RepositoryFound, metav1.ConditionFalse, ""},
		"it is ready":                   {v1beta1.BackupInvokerReady, api.RepositoryFound, metav1.ConditionTrue, ""},
		"its Repository is missing":     {v1beta1.BackupInvokerNotReady, api.RepositoryFound, metav1.ConditionFalse, "because"},
		"its storage cannot be reached": {v1beta1.BackupInvokerNotReady, api.BackendReachable, metav1.ConditionFalse, "because"},
		"its pods are without sidecar":  {v1beta1.BackupInvokerNotReady, api.StashSidecarInjected, metav1.ConditionFalse, "because"},
		"its target is not known to be": {v1beta1.BackupInvokerNotReady, api.BackupTargetFound, metav1.ConditionUnknown, "because"},
		"its spec is not valid":         {v1beta1.BackupInvokerInvalid, api.ValidationPassed, metav1.ConditionFalse, "because"},
		"no condition says why":         {v1beta1.BackupInvokerNotReady, api.RepositoryFound, metav1.ConditionTrue, "it is NotReady"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &v1beta1.BackupConfiguration{}
			b.Status.Phase = c.phase
			b.Status.Conditions = []api.Condition{{Type: c.condition, Status: c.status, Message: "because"}}
			if got := notReady(b); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
