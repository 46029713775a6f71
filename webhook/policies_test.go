package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/webhook"
)

func (c *cluster) Protection(_ context.Context, r webhook.PolicyRequest) (protection.Answer, error) {
	if c.panics {
		panic("a bug")
	}
	c.asked = &r
	return c.answer, c.err
}

func (c *cluster) NamespaceDefault(context.Context, *corev1.Namespace) (blueprint.Problems, []string, error) {
	return c.problems, c.answer.Warnings, c.err
}

func (c *cluster) Withdrawal(_ context.Context, w webhook.Withdrawal) (protection.Answer, error) {
	c.withdrawn = &w
	return c.answer, c.err
}

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
		if strings.Contains(h.Name, "protection.") || strings.Contains(h.Name, "withdrawal.") {
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
	claim := &corev1.PersistentVolumeClaim{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, ObjectMeta: metav1.ObjectMeta{Name: "data", Labels: map[string]string{"a": "b"}},
	}
	ask(t, c, "/validate/protection/production", &admissionv1.AdmissionRequest{
		Kind: metav1.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"}, Operation: admissionv1.Create, Namespace: "demo", Object: raw(t, claim),
	})
	if d := cmp.Diff(runtime.Object(claim), c.asked.Object); d != "" || c.asked.Old != nil {
		t.Error(d)
	}
}

func TestADefaultAtAdmission(t *testing.T) {
	const path = "/mutate/workloads/default"
	wanted := webhook.Wanted{Stamp: mutators.Stamp{Inject: "h1"}}
	applied := blueprint.Default{Blueprints: []string{"gold"}, Source: `ProtectionPolicy "all"`, Field: "spec.default.blueprint"}
	missing := blueprint.Default{Blueprints: []string{"gone"}, Source: `ProtectionPolicy "all"`, Field: "spec.default.blueprint"}
	claimed := func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}
	}
	paths := map[string]string{api.AnnotationTargetPaths: "/elsewhere"}
	for name, c := range map[string]struct {
		object, old *appsv1.Deployment
		by          blueprint.Default
		want        string
		stamp       string
		says        string
	}{
		"the first pod has its sidecar, and who writes it is told why": {
			deployment(nil, claimed), nil, applied, "patched Stamped", "h1", `blueprint gold is applied, since ProtectionPolicy "all" asks for it`,
		},
		"one that runs is left to the controller": {deployment(nil, claimed), deployment(nil, claimed), applied, "allowed NotOurs", "", ""},
		"a missing blueprint is not its owner's fault": {
			deployment(nil, claimed), nil, missing, "patched Stamped", "h1", `not backed up: ProtectionPolicy "all", spec.default.blueprint: Invalid value: "gone"`,
		},
		"nor are paths that fit no mount a reason to refuse": {
			deployment(paths, claimed), nil, applied, "patched Stamped", "h1", "not backed up: metadata.annotations[stash.appscode.com/target-paths]",
		},
		"an exemption without a reason is told": {
			deployment(map[string]string{api.AnnotationExemption: " "}, nil), nil, blueprint.Default{}, "patched Stamped", "h1", "is empty and exempts nothing: say in words why",
		},
		"a switch is not one": {
			deployment(map[string]string{api.AnnotationExemption: "true"}, nil), nil, blueprint.Default{}, "patched Stamped", "h1", `is "true", which is no reason, and exempts nothing`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cl := cluster{wanted: wanted, byDefault: c.by, blueprints: blueprints()}
			response, patched, what := ask(t, &cl, path, workloadRequest(t, c.object, c.old))
			var d appsv1.Deployment
			if err := json.Unmarshal(patched, &d); err != nil {
				t.Fatal(err)
			}
			if what != c.want || d.Spec.Template.Labels[api.LabelInject] != c.stamp || !strings.Contains(strings.Join(response.Warnings, "\n"), c.says) {
				t.Errorf("%s, %v: %v", what, d.Spec.Template.Labels, response.Warnings)
			}
		})
	}
}

func TestNamespacesThatAskForBackups(t *testing.T) {
	ns := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: map[string]string{api.AnnotationBlueprint: "daily"}}}
	problem := blueprint.Problems{{Reason: blueprint.ReasonNamespaceNotAllowed, Field: "metadata.annotations[x]", Value: "daily", Detail: "may not be used"}}
	for name, c := range map[string]struct {
		cluster cluster
		want    string
		says    string
	}{
		"by somebody who may change all workloads": {cluster{}, "allowed Valid", ""},
		"by somebody who may not":                  {cluster{rights: &rights{lacks: []string{"update statefulsets/"}}}, "denied MissingRight", "update statefulsets.apps in namespace shop"},
		"a blueprint that does not admit it":       {cluster{problems: problem}, "denied Invalid", "may not be used"},
		"a blueprint that is not there yet":        {cluster{answer: protection.Answer{Warnings: []string{"not yet"}}}, "allowed Warned", "not yet"},
		"nobody knows":                             {cluster{err: errors.New("gone")}, "denied LookupFailed", "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			response, _, what := ask(t, &c.cluster, "/validate/namespaces", &admissionv1.AdmissionRequest{
				Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Namespace"}, Operation: admissionv1.Create, Name: "shop", Object: raw(t, ns),
			})
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
