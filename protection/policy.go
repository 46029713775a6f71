package protection

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// maxSelector bounds a selector: those of all policies are in one webhook configuration, and one object
// of the API server's holds 1.5 MiB.
const maxSelector = 4 << 10

// Policy is a ProtectionPolicy whose selectors were read. It is a value to read from: it may be shared
// by several goroutines.
type Policy struct {
	// Name of the policy.
	Name string
	// Spec is not changed.
	Spec *v1beta1.ProtectionPolicySpec

	namespaces labels.Selector
	objects    labels.Selector
}

// New reads a policy. One that Check refuses is an error.
func New(p *v1beta1.ProtectionPolicy) (*Policy, error) {
	if errs := Check(&p.Spec, field.NewPath("spec")); len(errs) > 0 {
		return nil, fmt.Errorf("read ProtectionPolicy %q: %w", p.Name, errs.ToAggregate())
	}
	out := &Policy{Name: p.Name, Spec: &p.Spec}
	for _, s := range []struct {
		from *metav1.LabelSelector
		into *labels.Selector
	}{{p.Spec.NamespaceSelector, &out.namespaces}, {p.Spec.ObjectSelector, &out.objects}} {
		*s.into = labels.Everything()
		if s.from == nil {
			continue
		}
		read, err := metav1.LabelSelectorAsSelector(s.from)
		if err != nil {
			return nil, fmt.Errorf("read ProtectionPolicy %q: %w", p.Name, err)
		}
		*s.into = read
	}
	return out, nil
}

// Check returns all that keeps a policy from being read: selectors that the API server would not accept
// in a webhook configuration, of which one would keep all hooks from being registered.
func Check(spec *v1beta1.ProtectionPolicySpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, s := range []struct {
		selector *metav1.LabelSelector
		at       *field.Path
	}{{spec.NamespaceSelector, at.Child("namespaceSelector")}, {spec.ObjectSelector, at.Child("objectSelector")}} {
		if s.selector == nil {
			continue
		}
		errs = append(errs, metav1validation.ValidateLabelSelector(s.selector, metav1validation.LabelSelectorValidationOptions{}, s.at)...)
		if text, err := json.Marshal(s.selector); err != nil || len(text) > maxSelector {
			errs = append(errs, field.TooLong(s.at, "", maxSelector))
		}
	}
	return errs
}

// Kinds returns the kinds that the policy selects.
func (p *Policy) Kinds() []target.Kind {
	var out []target.Kind
	for _, k := range target.All() {
		if p.has(k) {
			out = append(out, k)
		}
	}
	return out
}

func (p *Policy) has(k target.Kind) bool {
	if len(p.Spec.Kinds) == 0 {
		return slices.ContainsFunc(target.Workloads(), func(w target.Kind) bool { return w.GVK == k.GVK })
	}
	return slices.Contains(p.Spec.Kinds, v1beta1.ProtectionKind(k.GVK.Kind))
}

// SelectsNamespace tells whether objects of a namespace can be selected. Own is the operator's namespace.
func (p *Policy) SelectsNamespace(n *Namespace, own string) bool {
	if slices.Contains(target.ExcludedNamespaces(own), n.Name) {
		return false
	}
	// The API server keeps this label on every namespace; a caller that knows the name only is right too.
	if n.Labels[corev1.LabelMetadataName] == n.Name {
		return p.namespaces.Matches(labels.Set(n.Labels))
	}
	set := labels.Merge(labels.Set(n.Labels), labels.Set{corev1.LabelMetadataName: n.Name})
	return p.namespaces.Matches(set)
}

// Selects tells whether the policy is about an object.
func (p *Policy) Selects(o *Object, own string) bool {
	if !p.has(o.Kind) || !p.objects.Matches(labels.Set(o.Labels)) || !p.SelectsNamespace(&o.Namespace, own) {
		return false
	}
	return o.Persistent || p.Spec.Storage == v1beta1.StorageAny
}
