package deploy_test

import (
	"encoding/json"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/seed-731df569/stash/test/manifest"
)

// again is what `kubectl apply` sends for an object that was applied as it is written, and that the API
// server has filled in: {} where kubectl says "unchanged".
func again[T any](t *testing.T, written *unstructured.Unstructured, fillIn func(*T)) string {
	t.Helper()
	as, err := written.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	stored := new(T)
	if err := json.Unmarshal(as, stored); err != nil {
		t.Fatal(err)
	}
	fillIn(stored)
	current, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := strategicpatch.NewPatchMetaFromStruct(stored)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(as, as, current, meta, true)
	if err != nil {
		t.Fatal(err)
	}
	return string(patch)
}

// written are the objects of a kind in a file of deploy/.
func written(t *testing.T, path, kind string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := manifest.Parse(read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	var out []*unstructured.Unstructured
	for _, o := range objects {
		if o.GetKind() == kind {
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no %s", path, kind)
	}
	return out
}

// A rule of a policy gets a scope of the API server, and lists of rules are compared as a whole.
func TestAPolicyThatIsAppliedAgainIsUnchanged(t *testing.T) {
	for _, p := range written(t, "policies.yaml", "ValidatingAdmissionPolicy") {
		patch := again(t, p, func(p *admissionregistrationv1.ValidatingAdmissionPolicy) {
			m := p.Spec.MatchConstraints
			m.MatchPolicy = new(admissionregistrationv1.Equivalent)
			m.NamespaceSelector, m.ObjectSelector = &metav1.LabelSelector{}, &metav1.LabelSelector{}
			for i := range m.ResourceRules {
				if m.ResourceRules[i].Scope == nil {
					m.ResourceRules[i].Scope = new(admissionregistrationv1.AllScopes)
				}
			}
		})
		if patch != "{}" {
			t.Errorf("%s: kubectl sends %s", p.GetName(), patch)
		}
	}
}

// Kubernetes has kubectl replace the selector of a disruption budget each time, equal or not: kubectl says
// "configured", and nothing changes. No other way to write it would help.
func TestADisruptionBudgetThatIsAppliedAgainIsReplacedByItself(t *testing.T) {
	for _, b := range written(t, "operator.yaml", "PodDisruptionBudget") {
		const want = `{"spec":{"selector":{"matchLabels":{"app.kubernetes.io/component":"operator","app.kubernetes.io/name":"stash"}}}}`
		if patch := again(t, b, func(*policyv1.PodDisruptionBudget) {}); patch != want {
			t.Errorf("kubectl sends %s: docs/operations/install.md says otherwise", patch)
		}
	}
}
