// Package deploy_test reads deploy/ as it is applied, without a cluster: what its objects say about
// each other, and about the program, must agree.
package deploy_test

import (
	"fmt"
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
	"github.com/seed-731df569/stash/protection"
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
	if len(policies) != 3 || len(bound) != 3 || tokens == nil || guarded == nil {
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

// The policy looks at what the webhook looks at, and asks for the rights that it asks for.
func TestNamespacesAskOfWhomTheWebhookDoes(t *testing.T) {
	const name = "namespaces." + api.Group
	hooks := webhook.Hooks()
	h := slices.IndexFunc(hooks, func(h webhook.Hook) bool { return h.FullName() == name })
	policies := deployed[*admissionregistrationv1.ValidatingAdmissionPolicy](t)
	p := slices.IndexFunc(policies, func(p *admissionregistrationv1.ValidatingAdmissionPolicy) bool { return p.Name == name })
	if h < 0 || p < 0 {
		t.Fatal("there is no such hook, or no such policy")
	}
	spec := &policies[p].Spec
	if len(spec.MatchConditions) != 1 || len(hooks[h].MatchConditions) != 1 || spec.ParamKind != nil {
		t.Fatalf("conditions %v, parameter %v", spec.MatchConditions, spec.ParamKind)
	}
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	if diff := cmp.Diff(words(hooks[h].MatchConditions[0].Expression), words(spec.MatchConditions[0].Expression)); diff != "" {
		t.Errorf("what the webhook and the policy look at (-webhook +policy):\n%s", diff)
	}
	if r := spec.MatchConstraints.ResourceRules; len(r) != 1 || !slices.Equal(r[0].Resources, []string{"namespaces", "namespaces/status", "namespaces/finalize"}) {
		t.Errorf("metadata can be written elsewhere: %v", r)
	}
	var want, got []string
	for _, k := range protection.Defaulted() {
		want = append(want, fmt.Sprintf("authorizer.group(%q).resource(%q).namespace(object.metadata.name).check(%q).allowed()", k.GVK.Group, k.Resource, "update"))
	}
	for _, v := range spec.Validations {
		got = append(got, v.Expression)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the rights of the webhook and of the policy (-webhook +policy):\n%s", diff)
	}
}
