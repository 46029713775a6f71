package doctor

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/webhook"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// judged is what a check makes of something that it may see.
type judged struct {
	name     string
	worst    Status
	findings []Finding
}

func one(f Finding) []Finding { return []Finding{f} }

func today() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func aboutKubernetes(*testing.T) []judged {
	at := func(v string) []Finding { return one(judgeVersion(version.Info{GitVersion: v})) }
	return []judged{
		{"kubernetes: it is new enough", OK, at("v1.36.3")},
		{"kubernetes: it is the oldest that will do", OK, at("v1.30.0-gke.100")},
		{"kubernetes: it is too old", Failure, at("v1.29.9")},
		{"kubernetes: its version cannot be read", Warning, at("edge")},
		{"clock: it is a moment ahead", OK, one(judgeClock(2 * time.Second))},
		{"clock: it is half a minute ahead", Warning, one(judgeClock(30 * time.Second))},
		{"clock: it is ten minutes behind", Failure, one(judgeClock(-10 * time.Minute))},
		{"restic: it is new enough", OK, one(judgeRestic("restic 0.18.1 compiled with go1.24.4 on linux/amd64\n", nil))},
		{"restic: it is too old", Failure, one(judgeRestic("restic 0.14.0 compiled with go1.19.8 on linux/amd64\n", nil))},
		{"restic: it is missing", Failure, one(judgeRestic("", errors.New(`exec: "restic": executable file not found in $PATH`)))},
		{"restic: it says something else", Warning, one(judgeRestic("hello\n", nil))},
		{"restic: its version cannot be read", Warning, one(judgeRestic("restic latest\n", nil))},
	}
}

func aboutKinds(t *testing.T) []judged {
	wanted, err := definitions()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(wanted, func(c *apiextensionsv1.CustomResourceDefinition) bool {
		return c.Name == "repositories.stash.appscode.com"
	})
	want := wanted[i]
	with := func(change func(*apiextensionsv1.CustomResourceDefinition)) []Finding {
		have := want.DeepCopy()
		have.Status.StoredVersions = []string{"v1alpha1"}
		have.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{
			{Type: apiextensionsv1.NamesAccepted, Status: apiextensionsv1.ConditionTrue}, {Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue},
		}
		change(have)
		return judgeKind(want, have)
	}
	return []judged{
		{"kinds: one is as this build has it", "", with(func(*apiextensionsv1.CustomResourceDefinition) {})},
		{"kinds: one is missing", Failure, judgeKind(want, nil)},
		{"kinds: one is not established", Failure, with(func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Status.Conditions[0] = apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.NamesAccepted, Status: apiextensionsv1.ConditionFalse, Message: `"repo" is already in use`}
		})},
		{"kinds: one lacks a version", Failure, with(func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions = c.Spec.Versions[:1] })},
		{"kinds: a version is not served", Failure, with(func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[1].Served = false })},
		{"kinds: the schema is another one", Failure, with(func(c *apiextensionsv1.CustomResourceDefinition) {
			delete(c.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties, "spec")
		})},
		{"kinds: status is no sub-resource", Failure, with(func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Subresources = nil })},
		{"kinds: objects are stored in a version of later", Failure, with(func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Status.StoredVersions = append(c.Status.StoredVersions, "v1")
		})},
	}
}

func aboutPolicies(t *testing.T) []judged {
	policies, bindings, err := wantedPolicies()
	if err != nil || len(policies) != 3 || len(bindings) != 3 {
		t.Fatal(len(policies), len(bindings), err)
	}
	changed := policies[0].DeepCopy()
	changed.Spec.MatchConditions = append(changed.Spec.MatchConditions, admissionregistrationv1.MatchCondition{Name: "never", Expression: "false"})
	audits := bindings[0].DeepCopy()
	audits.Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Audit}
	return []judged{
		{"policies: one is as this build has it", "", judgePolicy(policies[0], policies[0].DeepCopy(), true)},
		{"policies: one is missing", Failure, judgePolicy(policies[0], &policy{}, false)},
		{"policies: one never matches", Failure, judgePolicy(policies[0], changed, true)},
		{"policies: one is bound", "", judgeBinding(bindings[0], bindings[0].DeepCopy(), true)},
		{"policies: one is not bound", Failure, judgeBinding(bindings[0], &binding{}, false)},
		{"policies: one only audits", Failure, judgeBinding(bindings[0], audits, true)},
	}
}

func aboutRights(t *testing.T) []judged {
	needed, err := neededRights("stash")
	if err != nil {
		t.Fatal(err)
	}
	all := map[right]bool{}
	for _, r := range needed {
		all[r] = true
	}
	without := func(drop func(right) bool) map[right]bool {
		out := maps.Clone(all)
		maps.DeleteFunc(out, func(r right, _ bool) bool { return drop(r) })
		return out
	}
	more := maps.Clone(all)
	more[right{resource: "secrets", verb: "list"}] = true
	more[right{resource: "pods", subresource: "exec", verb: "create"}] = true
	return []judged{
		{"rights: all are there", OK, judgeRights(needed, all)},
		{"rights: the Lease cannot be renewed", Failure, judgeRights(needed, without(func(r right) bool { return r.resource == "leases" && r.verb == "update" }))},
		{"rights: none is there", Failure, judgeRights(needed, nil)},
		{"rights: there are more", Warning, judgeRights(needed, more)},
	}
}

func aboutWebhooks(t *testing.T) []judged {
	in := webhook.Installation{Namespace: "stash", CABundle: []byte("ca"), Finished: []string{"x", mutators.HashRestore("u1")}}
	m, v := webhook.Mutating(in), webhook.Validating(in)
	mutating := func(change func(*admissionregistrationv1.MutatingWebhookConfiguration)) []Finding {
		have := m.DeepCopy()
		have.OwnerReferences = []metav1.OwnerReference{{Name: "any"}}
		change(have)
		return slices.Concat(judgeConfiguration("MutatingWebhookConfiguration", true, m.Webhooks, have.Webhooks), judgeBundles(in.CABundle, have, v))
	}
	restores := func(phase v1beta1.RestorePhase) []Finding {
		return judgeFinished(finished(m), []v1beta1.RestoreSession{
			{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "back", UID: types.UID("u1")}, Status: v1beta1.RestoreSessionStatus{Phase: phase}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other", UID: types.UID("u2")}},
		})
	}
	set, err := webhook.ParseSettings([]string{"backup.pods=Fail"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return []judged{
		{"webhooks: they are as they should be", "", mutating(func(*admissionregistrationv1.MutatingWebhookConfiguration) {})},
		{"webhooks: there are none", Failure, judgeConfiguration("ValidatingWebhookConfiguration", false, v.Webhooks, nil)},
		{"webhooks: a hook is missing", Failure, judgeConfiguration("ValidatingWebhookConfiguration", true, v.Webhooks, v.Webhooks[1:])},
		{"webhooks: a hook fails open and waits longer", Failure, mutating(func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[1].FailurePolicy, c.Webhooks[1].TimeoutSeconds = new(admissionregistrationv1.Ignore), new(int32(30))
		})},
		{"webhooks: a condition was added", Failure, mutating(func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "never", Expression: "false"}}
		})},
		{"webhooks: a hook of somebody else was added", Failure, mutating(func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks = append(c.Webhooks, c.Webhooks[0])
			c.Webhooks[len(c.Webhooks)-1].Name = "theirs.example.com"
		})},
		{"webhooks: the CA is another one", Failure, mutating(func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].ClientConfig.CABundle = []byte("theirs")
		})},
		{"webhooks: a restore that has ended is left out", "", restores(v1beta1.RestoreSucceeded)},
		{"webhooks: a restore under way is left out", Failure, restores(v1beta1.RestoreRunning)},
		{"settings: there are none", OK, judgeSettings(webhook.Settings{})},
		{"settings: pods wait for the operator", Warning, judgeSettings(set)},
	}
}

// refusal is what the webhook really says to a probe.
func refusal(t *testing.T, restore string) string {
	t.Helper()
	pod, err := json.Marshal(probe("shop", restore))
	if err != nil {
		t.Fatal(err)
	}
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "u", Operation: admissionv1.Create, Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"}, Namespace: "shop", Object: runtime.RawExtension{Raw: pod},
		},
	}
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	h, err := webhook.Handler(webhook.Options{Access: struct{ webhook.Access }{}})
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mutate/pods/restore", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	if err := json.Unmarshal(answer.Body.Bytes(), &review); err != nil || review.Response == nil || review.Response.Allowed {
		t.Fatalf("%s: %v", answer.Body, err)
	}
	return review.Response.Result.Message
}

func aboutReach(t *testing.T) []judged {
	t.Helper()
	refused := func(format string, args ...any) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", fmt.Errorf(format, args...))
	}
	ours := refused(`admission webhook "restore.pods.stash.appscode.com" denied the request: %s`, refusal(t, "doctor-x1"))
	down := apierrors.NewInternalError(errors.New(`failed calling webhook "restore.pods.stash.appscode.com": failed to call webhook: Post "https://stash-webhook.stash.svc:443/mutate/pods/restore?timeout=3s": no endpoints available for service "stash-webhook"`))
	agents := map[string]bool{"shop": true, "vault": true}
	return []judged{
		{"reached: ours refuses", OK, one(judgeReached(ours, "doctor-x1", time.Millisecond))},
		{"reached: ours refuses slowly", Warning, one(judgeReached(ours, "doctor-x1", 2100*time.Millisecond))},
		{"reached: ours refuses something else", Warning, one(judgeReached(ours, "doctor-x2", time.Millisecond))},
		{"reached: nobody refuses", Failure, one(judgeReached(nil, "doctor-x1", time.Millisecond))},
		{"reached: nobody answers", Failure, one(judgeReached(down, "doctor-x1", time.Millisecond))},
		{"reached: a quota refuses", Warning, one(judgeReached(refused("exceeded quota: pods"), "doctor-x1", time.Millisecond))},
		{"reached: the API server does not answer", Failure, one(judgeReached(errors.New("connection refused"), "doctor-x1", time.Millisecond))},
		{"namespaces: all have the CA", OK, judgeNamespaces(agents, map[string]string{"shop": "ca", "vault": "ca", "old": "before"}, "ca")},
		{"namespaces: one has none", Failure, judgeNamespaces(agents, map[string]string{"shop": "ca"}, "ca")},
		{"namespaces: one has that of before", Failure, judgeNamespaces(agents, map[string]string{"shop": "ca", "vault": "before"}, "ca")},
		{"not looked at: a right is missing", Warning, unread("policy x", refused("no"))},
		{"not looked at: it cannot be read", Failure, unread("policy x", errors.New("timeout"))},
	}
}

// Each check going wrong in each way, and what it says then.
func TestJudgements(t *testing.T) {
	var out bytes.Buffer
	for _, about := range []func(*testing.T) []judged{aboutKubernetes, aboutKinds, aboutPolicies, aboutRights, aboutReplicas, aboutCertificates, aboutWebhooks, aboutReach} {
		for _, j := range about(t) {
			fmt.Fprintf(&out, "-- %s --\n", j.name)
			worst := Status("")
			for _, f := range j.findings {
				f.Check, _, _ = strings.Cut(j.name, ":")
				if worst == "" || f.Status == Failure || worst == OK {
					worst = f.Status
				}
				fmt.Fprintf(&out, "%s: %s\n", f.Status, f.Seen)
				if f.Do != "" {
					fmt.Fprintf(&out, "  to do: %s\n", f.Do)
				}
				if f.Status == OK && f.Do != "" || f.Seen == "" {
					t.Errorf("%s: %+v", j.name, f)
				}
			}
			if worst != j.worst {
				t.Errorf("%s: %q, want %q", j.name, worst, j.worst)
			}
		}
	}
	golden(t, "testdata/judgements.txt", out.Bytes())
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got; -update rewrites):\n%s", path, d)
	}
}

func TestReportsAreForPeopleAndPrograms(t *testing.T) {
	r := Report{Version: "v1", Namespace: "stash", Findings: []Finding{
		{Check: "kubernetes", Status: OK, Seen: "the API server is v1.36.3"},
		{Check: "leader", Status: Warning, Seen: "a leads, which is no pod of this installation", Do: "look for <another>"},
		{Check: "certificates", Status: Failure, Seen: "it expired", Do: "first\nthen"},
	}}
	var text, json bytes.Buffer
	if err := errors.Join(r.Text(&text), r.JSON(&json)); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.txt", text.Bytes())
	golden(t, "testdata/report.json", json.Bytes())
	if r.Healthy() || !(Report{Findings: r.Findings[:2]}).Healthy() {
		t.Error("health is not the absence of failures")
	}
}

// Its keys are in the Secret that the doctor reads, and in nothing that it keeps of it.
func TestNoKeyIsKept(t *testing.T) {
	data, err := certs.Advance(today(), nil, certs.Terms{Names: certs.Names("stash", "stash-webhook")}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v", certs.Inspect(data)) + string(certs.Inspect(data).Bundle())
	for _, key := range []string{certs.KeyLeafKey, certs.KeyCAKey} {
		lines := strings.Split(string(data[key]), "\n")
		if len(lines) < 3 || strings.Contains(text, lines[1]) {
			t.Errorf("%s is kept", key)
		}
	}
}

// The operator may read what this compares with: a new kind or policy needs its name in the rule.
func TestTheOperatorMayReadWhatIsCompared(t *testing.T) {
	needed, err := neededRights("stash")
	if err != nil {
		t.Fatal(err)
	}
	var names []right
	kinds, err := definitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range kinds {
		names = append(names, right{group: apiextensionsv1.GroupName, resource: "customresourcedefinitions", name: c.Name, verb: "get"})
	}
	policies, bindings, err := wantedPolicies()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policies {
		names = append(names, right{group: admissionregistrationv1.GroupName, resource: "validatingadmissionpolicies", name: p.Name, verb: "get"})
	}
	for _, b := range bindings {
		names = append(names, right{group: admissionregistrationv1.GroupName, resource: "validatingadmissionpolicybindings", name: b.Name, verb: "get"})
	}
	for _, r := range names {
		if !slices.Contains(needed, r) {
			t.Errorf("deploy/rbac.yaml does not let the operator %s", r)
		}
	}
}
