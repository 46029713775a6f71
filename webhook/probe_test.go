package webhook_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
)

// Whoever wants to know whether the hook is asked gets a refusal that names what was asked for,
// whatever is known of restores.
func TestAProbeOfTheRestoreHookIsRefused(t *testing.T) {
	request := podRequest(t, "", "doctor-1")
	var pod corev1.Pod
	if err := yaml.Unmarshal(request.Object.Raw, &pod); err != nil {
		t.Fatal(err)
	}
	pod.Labels[api.LabelProbe] = "reached"
	request.Object = raw(t, pod)
	response, _, what := ask(t, &cluster{}, "/mutate/pods/restore", request)
	if response.Allowed || what != "denied UnknownRestore" || !strings.Contains(response.Result.Message, `"doctor-1"`) {
		t.Errorf("%s: %+v", what, response.Result)
	}
}
