// Package deploy_test reads deploy/ as it is applied, without a cluster: what its objects say about
// each other, and about the program, must agree.
package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/test/manifest"
	"github.com/seed-731df569/stash/webhook"
)

const root = "../../deploy"

// deployed returns all objects of a type that `kubectl apply -k deploy` makes.
func deployed[T runtime.Object](t *testing.T) []T {
	t.Helper()
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(read(t, "kustomization.yaml"), &kustomization); err != nil {
		t.Fatal(err)
	}
	var out []T
	for _, path := range kustomization.Resources {
		if strings.HasPrefix(path, "crds/") {
			continue
		}
		objects, err := manifest.Parse(read(t, path))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, o := range objects {
			typed, err := manifest.Typed(o)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if o, ok := typed.(T); ok {
				out = append(out, o)
			}
		}
	}
	return out
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPoliciesNameWhatTheProgramNames(t *testing.T) {
	policies := map[string]*admissionregistrationv1.ValidatingAdmissionPolicy{}
	for _, p := range deployed[*admissionregistrationv1.ValidatingAdmissionPolicy](t) {
		policies[p.Name] = p
		if p.Spec.FailurePolicy == nil || *p.Spec.FailurePolicy != admissionregistrationv1.Fail {
			t.Errorf("policy %s does not fail closed", p.Name)
		}
	}
	bound := map[string]admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{}
	for _, b := range deployed[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t) {
		bound[b.Spec.PolicyName] = b.Spec
		if !slices.Equal(b.Spec.ValidationActions, []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}) || b.Spec.MatchResources != nil {
			t.Errorf("binding %s does not deny, or not everywhere", b.Name)
		}
	}
	tokens, guarded := policies["tokens."+api.Group], policies["webhooks-must-exist."+api.Group]
	if len(policies) != 2 || len(bound) != 2 || tokens == nil || guarded == nil {
		t.Fatalf("policies %v, bound %v", policies, bound)
	}
	if c := tokens.Spec.MatchConditions; len(c) != 1 || !strings.Contains(c[0].Expression, `a == "`+api.TokenAudience+`"`) {
		t.Errorf("tokens of another audience than %s are meant: %v", api.TokenAudience, c)
	}
	if p := bound[guarded.Name].ParamRef; p == nil || p.Name != webhook.ConfigurationName || p.ParameterNotFoundAction == nil ||
		*p.ParameterNotFoundAction != admissionregistrationv1.DenyAction {
		t.Errorf("the parameter is %+v", p)
	}
	var want, got []string
	for _, h := range webhook.Hooks() {
		if h.Serve != webhook.ServeOwn {
			continue
		}
		for _, r := range h.Rules {
			if slices.Equal(r.Operations, []admissionregistrationv1.OperationType{admissionregistrationv1.Delete}) {
				continue // what goes is not stored
			}
			want = append(want, r.Resources...)
			if h.FullName() != r.Resources[0]+"."+api.Group || h.Mutating || h.FailurePolicy != admissionregistrationv1.Fail {
				t.Errorf("the policy does not find hook %s of %v", h.FullName(), r.Resources)
			}
		}
	}
	for _, r := range guarded.Spec.MatchConstraints.ResourceRules {
		got = append(got, r.Resources...)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("kinds with a webhook, kinds that are closed without it (-want +got):\n%s", diff)
	}
}
