package controller

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/webhook"
)

type (
	mutatingHooks   = admissionregistrationv1.MutatingWebhookConfiguration
	validatingHooks = admissionregistrationv1.ValidatingWebhookConfiguration
)

// keeper is a keeper of webhook configurations that counts what it writes.
type keeper struct {
	*WebhookConfigurations
	t      *testing.T
	writes int
}

func newKeeper(t *testing.T) *keeper {
	t.Helper()
	k := &keeper{t: t}
	w := newWorld(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			k.writes++
			return c.Create(ctx, obj, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			k.writes++
			return c.Update(ctx, obj, opts...)
		},
	}, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: OwnerRole, UID: "role"}})
	k.WebhookConfigurations = NewWebhookConfigurations(w, "stash-webhook")
	return k
}

// kept keeps the configurations and returns them, and how often it wrote.
func (k *keeper) kept() (m *mutatingHooks, v *validatingHooks, writes int) {
	k.t.Helper()
	k.writes = 0
	if err := k.keep(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
	name := webhook.ConfigurationName
	return read(k.t, k.World, "", name, &mutatingHooks{}), read(k.t, k.World, "", name, &validatingHooks{}), k.writes
}

// Whatever is done to a hook to disable it, or to let it see more, is undone.
func TestWebhookConfigurationsArePutBack(t *testing.T) {
	never := admissionregistrationv1.MatchCondition{Name: "never", Expression: "false"}
	nowhere := metav1.LabelSelectorRequirement{Key: "nobody/has-it", Operator: metav1.LabelSelectorOpExists}
	ignore, fail := new(admissionregistrationv1.Ignore), new(admissionregistrationv1.Fail)
	for name, change := range map[string]func(*mutatingHooks, *validatingHooks){
		"a match condition is added": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks[0].MatchConditions = append(m.Webhooks[0].MatchConditions, never)
			v.Webhooks[0].MatchConditions = append(v.Webhooks[0].MatchConditions, never)
		},
		"match conditions are removed": func(m *mutatingHooks, v *validatingHooks) {
			for i := range m.Webhooks {
				m.Webhooks[i].MatchConditions = nil
			}
			for i := range v.Webhooks {
				v.Webhooks[i].MatchConditions = nil
			}
		},
		"an expression is added to the selector of objects": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks[0].ObjectSelector.MatchExpressions = append(m.Webhooks[0].ObjectSelector.MatchExpressions, nowhere)
			v.Webhooks[0].ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{nowhere}}
		},
		"labels are added to the selector of objects": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks[0].ObjectSelector.MatchLabels = map[string]string{"nobody/has-it": "x"}
			v.Webhooks[0].ObjectSelector.MatchLabels = map[string]string{"nobody/has-it": "x"}
		},
		"an expression is added to the selector of namespaces": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks[0].NamespaceSelector.MatchExpressions = append(m.Webhooks[0].NamespaceSelector.MatchExpressions, nowhere)
			v.Webhooks[0].NamespaceSelector.MatchExpressions = append(v.Webhooks[0].NamespaceSelector.MatchExpressions, nowhere)
		},
		"a hook is added": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks = append(m.Webhooks, *m.Webhooks[0].DeepCopy())
			m.Webhooks[len(m.Webhooks)-1].Name = "more.stash.appscode.com"
			v.Webhooks = append(v.Webhooks, *v.Webhooks[0].DeepCopy())
			v.Webhooks[len(v.Webhooks)-1].Name = "more.stash.appscode.com"
		},
		"a hook is removed": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks, v.Webhooks = m.Webhooks[1:], v.Webhooks[1:]
		},
		"all hooks are removed": func(m *mutatingHooks, v *validatingHooks) { m.Webhooks, v.Webhooks = nil, nil },
		"a hook no longer fails closed, or open": func(m *mutatingHooks, v *validatingHooks) {
			for i := range m.Webhooks {
				m.Webhooks[i].FailurePolicy = other(m.Webhooks[i].FailurePolicy, ignore, fail)
			}
			for i := range v.Webhooks {
				v.Webhooks[i].FailurePolicy = other(v.Webhooks[i].FailurePolicy, ignore, fail)
			}
		},
		"the CA is another one": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks[0].ClientConfig.CABundle = []byte("somebody's")
			v.Webhooks[0].ClientConfig.CABundle = append(v.Webhooks[0].ClientConfig.CABundle, "and somebody's"...)
		},
		"the service is another one": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks[0].ClientConfig.Service.Namespace = "other"
			v.Webhooks[0].ClientConfig.Service = nil
			v.Webhooks[0].ClientConfig.URL = new("https://other")
		},
		"rules are added and changed": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks[0].Rules = append(m.Webhooks[0].Rules, m.Webhooks[0].Rules[0])
			v.Webhooks[0].Rules[0].Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Connect}
		},
		"the limit is another one": func(m *mutatingHooks, v *validatingHooks) {
			m.Webhooks[0].TimeoutSeconds, v.Webhooks[0].TimeoutSeconds = new(int32(30)), new(int32(30))
		},
		"our label is gone":     func(m *mutatingHooks, v *validatingHooks) { m.Labels, v.Labels = nil, nil },
		"they belong to nobody": func(m *mutatingHooks, v *validatingHooks) { m.OwnerReferences, v.OwnerReferences = nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t)
			m, v, _ := k.kept()
			badM, badV := m.DeepCopy(), v.DeepCopy()
			change(badM, badV)
			for _, o := range []client.Object{badM, badV} {
				if err := k.Update(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			gotM, gotV, writes := k.kept()
			version := cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion")
			if d := cmp.Diff(m, gotM, version) + cmp.Diff(v, gotV, version); d != "" || writes != 2 {
				t.Errorf("%d writes; after they were put back (-want +got):\n%s", writes, d)
			}
		})
	}
}

func other[T comparable](have, one, two *T) *T {
	if *have == *one {
		return two
	}
	return one
}

func TestWebhookConfigurationsAreWrittenOnlyWhereTheyDiffer(t *testing.T) {
	k := newKeeper(t)
	if _, _, writes := k.kept(); writes != 2 {
		t.Errorf("%d writes, want both to be created", writes)
	}
	m, v, writes := k.kept()
	if writes != 0 {
		t.Errorf("%d writes of what is there already", writes)
	}
	for _, o := range []client.Object{m, v} {
		o.SetLabels(map[string]string{"of": "others", "app.kubernetes.io/managed-by": "stash.appscode.com"})
		o.SetAnnotations(map[string]string{"of": "others"})
		if err := k.Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if m, _, writes := k.kept(); writes != 0 || m.Labels["of"] != "others" {
		t.Errorf("%d writes because of others' labels, which are now %v", writes, m.Labels)
	}

	// A role that was made again is another one: to the old one's end the configurations would go, too.
	role := read(t, k.World, "", OwnerRole, &rbacv1.ClusterRole{})
	if err := k.Delete(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	if _, _, writes := k.kept(); writes != 0 {
		t.Errorf("%d writes while there is no owner", writes)
	}
	if err := k.Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: OwnerRole, UID: "new"}}); err != nil {
		t.Fatal(err)
	}
	m, v, _ = k.kept()
	for _, o := range []client.Object{m, v} {
		if refs := o.GetOwnerReferences(); len(refs) != 1 || refs[0].UID != types.UID("new") || o.GetAnnotations()["of"] != "others" {
			t.Errorf("%T: owners %+v, annotations %v", o, refs, o.GetAnnotations())
		}
		if err := k.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if m, _, writes := k.kept(); writes != 2 || len(m.Webhooks) == 0 {
		t.Errorf("%d writes after both were deleted", writes)
	}
}

// Where the API server would fill something in, the stored configuration would differ for ever.
func TestWebhookConfigurationsLeaveNothingToTheAPIServer(t *testing.T) {
	in := webhook.Installation{Namespace: "stash", CABundle: []byte("ca")}
	rules := func(hook string, rules []admissionregistrationv1.RuleWithOperations) {
		if len(rules) == 0 || slices.ContainsFunc(rules, func(r admissionregistrationv1.RuleWithOperations) bool { return r.Scope == nil }) {
			t.Errorf("%s: a rule has no scope", hook)
		}
	}
	for _, h := range webhook.Mutating(in).Webhooks {
		if h.FailurePolicy == nil || h.MatchPolicy == nil || h.SideEffects == nil || h.TimeoutSeconds == nil || h.ReinvocationPolicy == nil ||
			h.NamespaceSelector == nil || h.ObjectSelector == nil || h.ClientConfig.Service == nil || h.ClientConfig.Service.Port == nil {
			t.Errorf("%s is not complete: %+v", h.Name, h)
		}
		rules(h.Name, h.Rules)
	}
	for _, h := range webhook.Validating(in).Webhooks {
		if h.FailurePolicy == nil || h.MatchPolicy == nil || h.SideEffects == nil || h.TimeoutSeconds == nil ||
			h.NamespaceSelector == nil || h.ObjectSelector == nil || h.ClientConfig.Service == nil || h.ClientConfig.Service.Port == nil {
			t.Errorf("%s is not complete: %+v", h.Name, h)
		}
		rules(h.Name, h.Rules)
	}
}
