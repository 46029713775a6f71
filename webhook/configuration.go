package webhook

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
)

// ConfigurationName is the name of both webhook configurations.
const ConfigurationName = "stash"

// Installation is what the configurations depend on beside the table.
type Installation struct {
	// Namespace of the operator; it is excluded from pod and workload hooks.
	Namespace string
	// Service and Port of the webhook in that namespace. Default: stash-webhook, 443.
	Service string
	Port    int32
	// URL, for tests, is where the hooks are served instead, for example https://127.0.0.1:9443.
	URL string
	// CABundle that the API server trusts, as PEM.
	CABundle []byte
	// Operator is the user name of the operator, whose own writes are left out. Default: the
	// ServiceAccount stash-operator of the namespace.
	Operator string
	// Settings are what was configured of single hooks.
	Settings Settings
	// Finished are the values of the restore label whose restores have ended. Their pods no longer
	// depend on us.
	Finished []string
	// Policies are those that act when objects are written: see protection.Acting.
	Policies []*protection.Policy
	// Owner is set on the configurations, so that removing it removes them; may be nil.
	Owner *metav1.OwnerReference
}

func (i Installation) withDefaults() Installation {
	if i.Service == "" {
		i.Service = "stash-webhook"
	}
	if i.Port == 0 {
		i.Port = 443
	}
	if i.Operator == "" {
		i.Operator = "system:serviceaccount:" + i.Namespace + ":stash-operator"
	}
	i.Finished = slices.Clone(i.Finished)
	slices.Sort(i.Finished)
	i.Finished = slices.Compact(i.Finished)
	return i
}

// hooks are the entries of one of the configurations.
func (i Installation) hooks(mutating bool) []Hook {
	var out []Hook
	for _, h := range i.Settings.Hooks() {
		if h.Mutating == mutating {
			out = append(out, i.entries(h)...)
		}
	}
	return out
}

// Mutating builds the MutatingWebhookConfiguration. The same input gives the same output.
func Mutating(i Installation) *admissionregistrationv1.MutatingWebhookConfiguration {
	i = i.withDefaults()
	out := &admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "MutatingWebhookConfiguration"},
		ObjectMeta: i.meta(),
	}
	for _, h := range i.hooks(true) {
		reinvocation := admissionregistrationv1.NeverReinvocationPolicy
		if h.Reinvoked {
			reinvocation = admissionregistrationv1.IfNeededReinvocationPolicy
		}
		out.Webhooks = append(out.Webhooks, admissionregistrationv1.MutatingWebhook{
			Name: h.FullName(), ClientConfig: i.client(h), Rules: h.Rules,
			FailurePolicy: new(h.FailurePolicy), MatchPolicy: new(admissionregistrationv1.Equivalent), SideEffects: new(admissionregistrationv1.SideEffectClassNone),
			NamespaceSelector: i.namespaces(h), ObjectSelector: i.objects(h), MatchConditions: i.conditions(h),
			TimeoutSeconds: new(h.TimeoutSeconds), AdmissionReviewVersions: []string{"v1"}, ReinvocationPolicy: &reinvocation,
		})
	}
	return out
}

// Validating builds the ValidatingWebhookConfiguration. The same input gives the same output.
func Validating(i Installation) *admissionregistrationv1.ValidatingWebhookConfiguration {
	i = i.withDefaults()
	out := &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: i.meta(),
	}
	for _, h := range i.hooks(false) {
		out.Webhooks = append(out.Webhooks, admissionregistrationv1.ValidatingWebhook{
			Name: h.FullName(), ClientConfig: i.client(h), Rules: h.Rules,
			FailurePolicy: new(h.FailurePolicy), MatchPolicy: new(admissionregistrationv1.Equivalent), SideEffects: new(admissionregistrationv1.SideEffectClassNone),
			NamespaceSelector: i.namespaces(h), ObjectSelector: i.objects(h), MatchConditions: i.conditions(h),
			TimeoutSeconds: new(h.TimeoutSeconds), AdmissionReviewVersions: []string{"v1"},
		})
	}
	return out
}

// Render prints both configurations as YAML.
func Render(i Installation) ([]byte, error) {
	var out bytes.Buffer
	for n, o := range []any{Mutating(i), Validating(i)} {
		b, err := yaml.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("encode the webhook configurations: %w", err)
		}
		if n > 0 {
			out.WriteString("---\n")
		}
		out.Write(b)
	}
	return out.Bytes(), nil
}

// FullName is the hook's name in the configuration.
func (h Hook) FullName() string { return h.Name + "." + api.Group }

func (i Installation) meta() metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: ConfigurationName, Labels: map[string]string{api.LabelManagedBy: api.ManagedBy}}
	if i.Owner != nil {
		m.OwnerReferences = []metav1.OwnerReference{*i.Owner}
	}
	return m
}

func (i Installation) client(h Hook) admissionregistrationv1.WebhookClientConfig {
	c := admissionregistrationv1.WebhookClientConfig{CABundle: i.CABundle}
	if i.URL != "" {
		c.URL = new(i.URL + h.Path)
		return c
	}
	c.Service = &admissionregistrationv1.ServiceReference{Namespace: i.Namespace, Name: i.Service, Path: new(h.Path), Port: new(i.Port)}
	return c
}

func (i Installation) namespaces(h Hook) *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchExpressions: slices.Clone(h.Namespaces)}
	if h.Excluded {
		s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: target.ExcludedNamespaces(i.Namespace),
		})
	}
	return s
}

func (i Installation) objects(h Hook) *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchExpressions: slices.Clone(h.Objects)}
	if h.Unfinished && len(i.Finished) > 0 {
		s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: api.LabelRestore, Operator: metav1.LabelSelectorOpNotIn, Values: i.Finished,
		})
	}
	return s
}

func (i Installation) conditions(h Hook) []admissionregistrationv1.MatchCondition {
	var out []admissionregistrationv1.MatchCondition
	if h.OwnWrites {
		out = append(out, condition("not-by-the-operator", "!("+i.operator()+")"))
	}
	return append(out, h.MatchConditions...)
}

// operator is true of requests of the operator itself. A name alone proves little: certificates and
// identity providers may give it to anybody. The groups of a ServiceAccount come from its token only,
// or from who may impersonate groups, too.
func (i Installation) operator() string {
	is := fmt.Sprintf("request.userInfo.username == %q", i.Operator)
	account, ok := strings.CutPrefix(i.Operator, serviceAccountPrefix)
	if !ok {
		return is
	}
	namespace, _, _ := strings.Cut(account, ":")
	return is + fmt.Sprintf(" && has(request.userInfo.groups) && %q in request.userInfo.groups", "system:serviceaccounts:"+namespace)
}
