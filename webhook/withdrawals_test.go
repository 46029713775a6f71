package webhook_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/webhook"
)

func namespaceWith(labels, annotations map[string]string) *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: labels, Annotations: annotations}}
}

func backupWith(change func(*v1beta1.BackupConfiguration)) *v1beta1.BackupConfiguration {
	c := &v1beta1.BackupConfiguration{TypeMeta: metav1.TypeMeta{APIVersion: api.Group + "/v1beta1", Kind: v1beta1.KindBackupConfiguration}}
	c.Namespace, c.Name = "shop", "web"
	change(c)
	return c
}

// withdrawal asks the hook of the object's kind about a request.
func withdrawal(t *testing.T, c *cluster, now, old runtime.Object) (text, what string) {
	t.Helper()
	gvk := old.GetObjectKind().GroupVersionKind()
	r := &admissionv1.AdmissionRequest{
		Kind:      metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind},
		Operation: admissionv1.Delete, Namespace: "shop", Name: "shop", OldObject: raw(t, old),
	}
	if now != nil {
		r.Operation, r.Object = admissionv1.Update, raw(t, now)
	}
	path := "/validate/backupconfigurations/withdrawal"
	if gvk.Kind == "Namespace" {
		path = "/validate/namespaces/withdrawal/production"
	}
	response, _, what := ask(t, c, path, r)
	text = strings.Join(response.Warnings, "\n")
	if response.Result != nil {
		text += response.Result.Message
	}
	return text, what
}

func TestRequestsThatTakeProtectionFromOthers(t *testing.T) {
	refusal := protection.Answer{Refused: field.ErrorList{field.Forbidden(field.NewPath("spec"), `ProtectionPolicy "production": it would leave web`)}}
	asIs := func(*v1beta1.BackupConfiguration) {}
	paused := func(c *v1beta1.BackupConfiguration) { c.Spec.Paused = true }
	seldom := func(c *v1beta1.BackupConfiguration) { c.Spec.Schedule = "@weekly" }
	going := namespaceWith(nil, nil)
	going.DeletionTimestamp = &metav1.Time{Time: metav1.Now().Time}
	by := map[string]string{api.AnnotationBlueprint: "daily"}
	for name, c := range map[string]struct {
		cluster  cluster
		now, old runtime.Object
		want     string
		says     string
		asked    bool
	}{
		"a change is refused":           {cluster{answer: refusal}, backupWith(seldom), backupWith(asIs), "denied Unprotected", "spec: Forbidden: ProtectionPolicy \"production\": it would leave web", true},
		"a deletion is, with the order": {cluster{answer: refusal}, nil, backupWith(asIs), "denied Unprotected", "it would leave web; a workload that is to go too is deleted first", true},
		"an annotation of a namespace":  {cluster{answer: refusal}, namespaceWith(nil, nil), namespaceWith(nil, by), "denied Unprotected", "it would leave web", true},
		"a warning":                     {cluster{answer: protection.Answer{Warnings: []string{"it would leave web"}}}, backupWith(paused), backupWith(asIs), "allowed Warned", "it would leave web", true},
		"nobody knows":                  {cluster{err: errors.New("gone")}, backupWith(paused), backupWith(asIs), "allowed LookupFailed", "looks later: gone", true},
		"an exemption that is none":     {cluster{}, namespaceWith(nil, map[string]string{api.AnnotationExemption: "true"}), namespaceWith(nil, nil), "allowed Warned", `is "true", which is no reason`, true},
		"one that was none before":      {cluster{}, namespaceWith(by, map[string]string{api.AnnotationExemption: "true"}), namespaceWith(nil, map[string]string{api.AnnotationExemption: "true"}), "allowed Valid", "", true},
		"labels are nobody's business":  {cluster{answer: refusal}, backupWith(func(c *v1beta1.BackupConfiguration) { c.Labels = by }), backupWith(asIs), "allowed Valid", "", false},
		"owners neither: who collects it is asked": {cluster{answer: refusal}, backupWith(func(c *v1beta1.BackupConfiguration) {
			c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "gone"}}
		}), backupWith(asIs), "allowed Valid", "", false},
		"a namespace that goes": {cluster{answer: refusal}, going, namespaceWith(nil, by), "allowed Valid", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			text, what := withdrawal(t, &c.cluster, c.now, c.old)
			if what != c.want || !strings.Contains(text, c.says) || (c.cluster.withdrawn != nil) != c.asked {
				t.Errorf("%s: %s", what, text)
			}
		})
	}
}

// What pauses, and does nothing else, begins a recovery.
func TestPausesAreKnown(t *testing.T) {
	paused, seldom := func(c *v1beta1.BackupConfiguration) { c.Spec.Paused = true }, func(c *v1beta1.BackupConfiguration) { c.Spec.Schedule = "@weekly" }
	both := func(c *v1beta1.BackupConfiguration) { paused(c); seldom(c) }
	asIs := func(*v1beta1.BackupConfiguration) {}
	renamed := func(c *v1beta1.BackupConfiguration) {
		paused(c)
		c.Annotations = map[string]string{api.AnnotationExpandedFrom: "x"}
	}
	for name, c := range map[string]struct {
		now, old func(*v1beta1.BackupConfiguration)
		pauses   bool
	}{
		"a pause":                       {paused, asIs, true},
		"its end":                       {asIs, paused, false},
		"a pause and more":              {both, asIs, false},
		"a pause of what was paused":    {both, paused, false},
		"a pause under another name":    {renamed, asIs, false},
		"another schedule, not a pause": {seldom, asIs, false},
	} {
		cl := &cluster{}
		withdrawal(t, cl, backupWith(c.now), backupWith(c.old))
		if w := cl.withdrawn; w == nil || w.Pauses != c.pauses || (w.At.String() == "spec.paused") != c.pauses {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

func TestAWithdrawalNamesWhatTheRequestChanges(t *testing.T) {
	by, gold := map[string]string{api.AnnotationBlueprint: "daily"}, map[string]string{"tier": "gold"}
	for want, c := range map[string]struct{ now, old runtime.Object }{
		"metadata.labels": {namespaceWith(gold, by), namespaceWith(nil, by)},
		"metadata.annotations[stash.appscode.com/backup-blueprint]":     {namespaceWith(gold, nil), namespaceWith(nil, by)},
		"metadata.annotations[stash.appscode.com/protection-exemption]": {namespaceWith(nil, nil), namespaceWith(nil, map[string]string{api.AnnotationExemption: "made anew"})},
	} {
		cl := &cluster{}
		withdrawal(t, cl, c.now, c.old)
		if w := cl.withdrawn; w == nil || w.At.String() != want || w.Policy != "production" || w.NamespaceBefore == nil || w.NamespaceAfter == nil {
			t.Errorf("%s: %+v", want, w)
		}
	}
}

// However many policies there are, a namespace's change is one policy's that selects it, and a
// configuration's is asked about once.
func TestEntriesOfWithdrawals(t *testing.T) {
	count := func(policies ...string) (namespaces, configurations int) {
		for _, h := range webhook.Validating(webhook.Installation{Namespace: "stash", Policies: acting(t, policies...)}).Webhooks {
			if strings.HasSuffix(h.Name, "withdrawal.namespaces.stash.appscode.com") {
				namespaces++
				if len(h.ObjectSelector.MatchExpressions) > 0 {
					t.Errorf("%s selects namespaces by the labels of their workloads", h.Name)
				}
			}
			if h.Name == "withdrawal.backupconfigurations.stash.appscode.com" {
				configurations++
			}
		}
		return namespaces, configurations
	}
	if n, c := count(audits, defaults); n+c != 0 {
		t.Errorf("%d and %d hooks of policies that refuse and warn of nothing", n, c)
	}
	if n, c := count(denies, warns, audits, defaults); n != 2 || c != 1 {
		t.Errorf("%d hooks of namespaces, %d of configurations", n, c)
	}
}

// Whoever may write a BackupConfiguration can have it collected. What goes with its namespace is not asked about.
func TestTheCollectorIsAsked(t *testing.T) {
	const collected = ` || request.operation == "DELETE" && request.userInfo.username != "system:serviceaccount:kube-system:namespace-controller"`
	for _, h := range webhook.Validating(webhook.Installation{Namespace: "stash", Policies: acting(t, denies)}).Webhooks {
		asked := slices.ContainsFunc(h.MatchConditions, func(c admissionregistrationv1.MatchCondition) bool { return strings.HasSuffix(c.Expression, collected) })
		if left := h.Name == "withdrawal.backupconfigurations.stash.appscode.com"; asked != left {
			t.Errorf("%s: %v", h.Name, asked)
		}
	}
}
