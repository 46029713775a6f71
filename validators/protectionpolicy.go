package validators

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
)

// ProtectionPolicy validates p: what its schema and CEL leave over are its selectors. Old is what it
// replaces, nil on creation and for stored objects; a request that leaves the spec as it is is never
// refused.
func ProtectionPolicy(p, old *v1beta1.ProtectionPolicy, f Facts) Result {
	var r Result
	if old != nil && equality.Semantic.DeepEqual(p.Spec, old.Spec) {
		return r
	}
	at := field.NewPath("spec")
	r.Errors = protection.Check(&p.Spec, at)
	for _, name := range f.MissingBlueprints {
		for _, where := range blueprintFields(&p.Spec, name, at) {
			r.warn("%s: there is no BackupBlueprint or BackupTemplate %q yet", where, name)
		}
	}
	if n := p.Spec.NamespaceSelector; p.Spec.Action == v1beta1.ActionDeny && (n == nil || len(n.MatchLabels)+len(n.MatchExpressions) == 0) {
		r.warn("%s is empty: requests are refused in all namespaces but those that a cluster needs to run, and that of Stash", at.Child("namespaceSelector"))
	}
	return r
}

// blueprintFields are those of a policy that name a blueprint.
func blueprintFields(spec *v1beta1.ProtectionPolicySpec, name string, at *field.Path) []*field.Path {
	var out []*field.Path
	if spec.Default != nil && spec.Default.Blueprint == name {
		out = append(out, at.Child("default", "blueprint"))
	}
	if i := slices.Index(spec.Require.Blueprints, name); i >= 0 {
		out = append(out, at.Child("require", "blueprints").Index(i))
	}
	return out
}

// policyAccess holds the author of a policy that has backups made to the rights of those whose volumes
// are read: nobody there has asked for it. Other actions use nobody's rights.
func policyAccess(p, old *v1beta1.ProtectionPolicy) []Access {
	if p.Spec.Action != v1beta1.ActionDefault || old != nil && equality.Semantic.DeepEqual(p.Spec, old.Spec) {
		return nil
	}
	policy, err := protection.New(p)
	if err != nil {
		return nil // refused by name
	}
	kinds := policy.Kinds()
	out := make([]Access, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, Access{
			Verb: "update", Group: k.GVK.Group, Resource: k.Resource, Field: field.NewPath("spec", "default"),
			Why: "pods of all that the policy selects get the backup sidecar, which reads their volumes",
		})
	}
	return out
}

// NamespaceAccess returns the rights that whoever has all workloads of a namespace backed up by its
// annotation must hold.
func NamespaceAccess(namespace string, at *field.Path) []Access {
	kinds := protection.Defaulted()
	out := make([]Access, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, Access{
			Verb: "update", Group: k.GVK.Group, Resource: k.Resource, Namespace: namespace, Field: at,
			Why: "the pods of all of them get the backup sidecar, which reads their volumes",
		})
	}
	return out
}
