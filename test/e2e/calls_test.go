package e2e_test

import (
	"bufio"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
)

// calls counts, by the API server's own metrics, how often it has asked each webhook of ours that is for
// the kinds of others. Namespaces of tests before this one may still be deleted, and our kinds in them.
func (s *site) calls() map[string]float64 {
	s.Helper()
	text, err := suite.kubectl.Run(s.Context(), "", "get", "--raw", "/metrics")
	if err != nil {
		s.Fatal(err)
	}
	const metric, name = "apiserver_admission_webhook_admission_duration_seconds_count{", `name="`
	out := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		labels, ours := strings.CutPrefix(lines.Text(), metric)
		_, hook, named := strings.Cut(labels, name)
		hook, _, _ = strings.Cut(hook, `"`)
		if !ours || !named || !strings.HasSuffix(hook, ".pods."+api.Group) && !strings.HasSuffix(hook, ".workloads."+api.Group) &&
			!strings.HasSuffix(hook, ".protection."+api.Group) {
			continue
		}
		count, err := strconv.ParseFloat(labels[strings.LastIndexByte(labels, ' ')+1:], 64)
		if err != nil {
			s.Fatalf("%v: %s", err, lines.Text())
		}
		out[hook] += count
	}
	return out
}

// nobodyAsks lets an application of nobody's concern live its life.
func nobodyAsks(s *site) {
	before := s.calls()
	s.apply("deployment.yaml", vars{"Annotated": false})
	s.running(1)
	s.kubectl("set", "env", "deployment/web", "ANY=thing")
	s.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	s.kubectl("scale", "deployment/web", "--replicas=0")
	s.kubectl("label", "namespace", s.ns, "team=shop")
	s.kubectl("annotate", "persistentvolumeclaim", "web", "example.com/owner=shop")
	s.kubectl("run", "alone", "--image=busybox", "--image-pull-policy=IfNotPresent", "--command", "--", "sleep", "1")
	s.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "any"}})
	s.kubectl("delete", "deployment/web", "pod/alone", "configmap/any", "persistentvolumeclaim/web", "--timeout=60s")
	for hook, n := range s.calls() {
		if n != before[hook] {
			s.Errorf("%s was asked %.0f times", hook, n-before[hook])
		}
	}
	// The count is one that moves.
	s.apply("blueprint.yaml")
	s.apply("deployment.yaml")
	s.running(1)
	for _, hook := range []string{"annotated.workloads", "backup.pods"} {
		if name := hook + "." + api.Group; s.calls()[name] == before[name] {
			s.Errorf("%s was never asked, also not of a protected workload", name)
		}
	}
}
