package webhook_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/webhook"
)

func acting(t *testing.T, texts ...string) []*protection.Policy {
	t.Helper()
	var list []v1beta1.ProtectionPolicy
	for _, text := range texts {
		var p v1beta1.ProtectionPolicy
		if err := yaml.UnmarshalStrict([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	out, left := protection.Acting(list)
	if len(left) > 0 {
		t.Fatal(left)
	}
	return out
}

const (
	denies = `{metadata: {name: production}, spec: {action: Deny, kinds: [Deployment, PersistentVolumeClaim],
  namespaceSelector: {matchLabels: {tier: gold, env: prod}, matchExpressions: [{key: team, operator: NotIn, values: [a]}]}, objectSelector: {matchLabels: {app: shop}}}}`
	warns    = `{metadata: {name: staging}, spec: {action: Warn, namespaceSelector: {matchLabels: {env: staging}}}}`
	audits   = `{metadata: {name: looks-only}, spec: {action: Audit}}`
	defaults = `{metadata: {name: all}, spec: {action: Default, default: {blueprint: daily}, namespaceSelector: {matchLabels: {tier: silver}}}}`
)

// What a policy adds to the configurations selects what it selects, and nothing is there for no policy.
func TestGoldenEntriesOfPolicies(t *testing.T) {
	plain := webhook.Installation{Namespace: "stash", CABundle: []byte("bundle")}
	with := plain
	with.Policies = acting(t, denies, warns, audits, defaults)
	known := map[string]bool{}
	for _, h := range webhook.Mutating(plain).Webhooks {
		known[h.Name] = true
	}
	for _, h := range webhook.Validating(plain).Webhooks {
		known[h.Name] = true
		if strings.Contains(h.Name, "protection.") {
			t.Errorf("without a policy there is %s", h.Name)
		}
	}
	var added []any
	for _, h := range webhook.Mutating(with).Webhooks {
		if !known[h.Name] {
			added = append(added, h)
		}
	}
	for _, h := range webhook.Validating(with).Webhooks {
		if !known[h.Name] {
			added = append(added, h)
		}
	}
	text, err := yaml.Marshal(added)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/policies.golden.yaml", string(text))
}

func TestPolicies(t *testing.T) {
	const path = "/validate/protection/production"
	refusal := protection.Answer{Refused: field.ErrorList{field.Required(field.NewPath("metadata", "annotations").Key("x"), `ProtectionPolicy "production": nothing backs it up`)}}
	for name, c := range map[string]struct {
		cluster cluster
		want    string
		says    string
	}{
		"what is protected passes":        {cluster{}, "allowed Valid", ""},
		"what is not is refused":          {cluster{answer: refusal}, "denied Unprotected", `nothing backs it up`},
		"a warning passes":                {cluster{answer: protection.Answer{Warnings: []string{"not protected"}}}, "allowed Warned", "not protected"},
		"what cannot be looked up passes": {cluster{err: errors.New("gone")}, "allowed LookupFailed", "does so later: gone"},
		"a bug lets pass":                 {cluster{panics: true}, "allowed Panicked", ""},
	} {
		t.Run(name, func(t *testing.T) {
			response, _, what := ask(t, &c.cluster, path, workloadRequest(t, deployment(nil, nil), nil))
			text := strings.Join(response.Warnings, "\n")
			if response.Result != nil {
				text += response.Result.Message
			}
			if what != c.want || !strings.Contains(text, c.says) {
				t.Errorf("%s: %s", what, text)
			}
		})
	}
}

func TestAPolicyIsAskedAboutTheObjectBeforeAndAfter(t *testing.T) {
	c := &cluster{}
	old := deployment(map[string]string{"a": "b"}, nil)
	ask(t, c, "/validate/protection/production", workloadRequest(t, deployment(nil, nil), old))
	now, isNow := c.asked.Object.(*appsv1.Deployment)
	before, isBefore := c.asked.Old.(*appsv1.Deployment)
	if !isNow || !isBefore || c.asked.Policy != "production" || c.asked.Namespace != "demo" || now.Annotations != nil || before.Annotations["a"] != "b" {
		t.Errorf("asked %+v", c.asked)
	}
	claim := &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, ObjectMeta: metav1.ObjectMeta{Name: "data", Labels: map[string]string{"a": "b"}},
	}
	ask(t, c, "/validate/protection/production", &admissionv1.AdmissionRequest{
		Kind: metav1.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"}, Operation: admissionv1.Create, Namespace: "demo", Object: raw(t, claim),
	})
	if d := cmp.Diff(runtime.Object(claim), c.asked.Object); d != "" || c.asked.Old != nil {
		t.Error(d)
	}
}
