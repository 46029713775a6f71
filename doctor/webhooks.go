package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/webhook"
)

const putBack = "the leading replica undoes changes within 15 seconds: see check leader, and its log for why it does not"

// webhooks compares both configurations, hook by hook, with what the operator writes.
func (d *Doctor) webhooks(ctx context.Context, s *site) []Finding {
	if s.unread != nil {
		return unread("the webhook configurations", s.unread)
	}
	mutating, validating := &admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}
	foundMutating, err := d.find(ctx, webhook.ConfigurationName, mutating)
	if err != nil {
		return unread("the MutatingWebhookConfiguration", err)
	}
	foundValidating, err := d.find(ctx, webhook.ConfigurationName, validating)
	if err != nil {
		return unread("the ValidatingWebhookConfiguration", err)
	}
	restores := &v1beta1.RestoreSessionList{}
	if err := d.client.List(ctx, restores); err != nil {
		return unread("the RestoreSessions", err)
	}
	policies := &v1beta1.ProtectionPolicyList{}
	if err := d.client.List(ctx, policies); err != nil {
		return unread("the ProtectionPolicies", err)
	}
	acting, _ := protection.Acting(policies.Items)
	bundle := s.secret.Bundle()
	in := webhook.Installation{
		Namespace: d.Namespace, Service: s.options.WebhookService, Settings: s.options.Hooks, Policies: acting, CABundle: bundle, Finished: finished(mutating),
	}
	out := slices.Concat(
		judgeConfiguration("MutatingWebhookConfiguration", foundMutating, webhook.Mutating(in).Webhooks, mutating.Webhooks),
		judgeConfiguration("ValidatingWebhookConfiguration", foundValidating, webhook.Validating(in).Webhooks, validating.Webhooks),
		judgeFinished(in.Finished, restores.Items),
	)
	if s.noSecret == nil {
		out = append(out, judgeBundles(bundle, mutating, validating)...)
	}
	if len(out) == 0 {
		out = append(out, fine("both webhook configurations are as the operator writes them, with its CA; %d hooks", len(mutating.Webhooks)+len(validating.Webhooks)))
	}
	return out
}

// finished are the restores that the configuration leaves out.
func finished(m *admissionregistrationv1.MutatingWebhookConfiguration) []string {
	for _, h := range m.Webhooks {
		if h.ObjectSelector == nil {
			continue
		}
		for _, e := range h.ObjectSelector.MatchExpressions {
			if e.Key == api.LabelRestore && e.Operator == metav1.LabelSelectorOpNotIn {
				return e.Values
			}
		}
	}
	return nil
}

// judgeFinished: pods of a restore that is left out start before their data is back.
func judgeFinished(left []string, restores []v1beta1.RestoreSession) []Finding {
	var out []Finding
	for i := range restores {
		rs := &restores[i]
		if rs.DeletionTimestamp == nil && rs.Status.Phase != v1beta1.RestoreSucceeded && slices.Contains(left, mutators.HashRestore(string(rs.UID))) {
			out = append(out, fail(putBack, "pods of RestoreSession %s/%s, which has not ended, are kept from the hook: they start before their data is back", rs.Namespace, rs.Name))
		}
	}
	return out
}

// judgeConfiguration compares hooks, those of one kind of configuration; the CA is another check.
func judgeConfiguration[T any](kind string, found bool, want, have []T) []Finding {
	if !found {
		return []Finding{fail(putBack, "%s %q is missing: nothing is asked of Stash, and its kinds are closed", kind, webhook.ConfigurationName)}
	}
	wanted, stored := byName(want), byName(have)
	var out []Finding
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if stored[name] == nil {
			out = append(out, fail(putBack, "%s %q lacks hook %s", kind, webhook.ConfigurationName, name))
		} else if fields := differing(wanted[name], stored[name]); len(fields) > 0 {
			out = append(out, fail(putBack, "hook %s is not as the operator writes it: %s", name, strings.Join(fields, ", ")))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if wanted[name] == nil {
			out = append(out, fail(putBack, "%s %q has a hook %s that is not the operator's", kind, webhook.ConfigurationName, name))
		}
	}
	return out
}

// byName returns the fields of hooks, by their names.
func byName[T any](hooks []T) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, h := range hooks {
		text, err := json.Marshal(h)
		fields := map[string]any{}
		if err == nil {
			err = json.Unmarshal(text, &fields)
		}
		name, ok := fields["name"].(string)
		if err != nil || !ok {
			continue // a hook of the API's own types has a name
		}
		if c, ok := fields["clientConfig"].(map[string]any); ok {
			delete(c, "caBundle")
		}
		out[name] = fields
	}
	return out
}

// differing says which fields are not the same, and how where that is short.
func differing(want, have map[string]any) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(want[name], have[name]) {
			out = append(out, difference(name, want[name], have[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if _, known := want[name]; !known {
			out = append(out, name+" was added")
		}
	}
	return out
}

func difference(name string, want, have any) string {
	switch want.(type) {
	case string, float64:
		return fmt.Sprintf("%s is %v instead of %v", name, have, want)
	}
	return name + " differs"
}

// judgeBundles compares the CAs that the API server trusts with those of the Secret.
func judgeBundles(want []byte, m *admissionregistrationv1.MutatingWebhookConfiguration, v *admissionregistrationv1.ValidatingWebhookConfiguration) []Finding {
	var wrong []string
	for _, h := range m.Webhooks {
		if !bytes.Equal(h.ClientConfig.CABundle, want) {
			wrong = append(wrong, h.Name)
		}
	}
	for _, h := range v.Webhooks {
		if !bytes.Equal(h.ClientConfig.CABundle, want) {
			wrong = append(wrong, h.Name)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return []Finding{fail(putBack+". Nothing else may write caBundle: no annotation of cert-manager's cainjector, no GitOps tool",
		"caBundle is not the operator's CA in %s", some(wrong))}
}

func (d *Doctor) settings(_ context.Context, s *site) []Finding {
	if s.unread != nil {
		return unread("the operator's arguments", s.unread)
	}
	return judgeSettings(s.options.Hooks)
}

func judgeSettings(s webhook.Settings) []Finding {
	var out []Finding
	for _, w := range s.Warnings() {
		out = append(out, warn("if that is not meant, remove --"+webhook.FlagFailurePolicy+" or --"+webhook.FlagTimeout+" from the operator's arguments", "%s", w))
	}
	if len(out) == 0 {
		out = append(out, fine("no hook has a setting that costs something while the operator is away"))
	}
	return out
}
