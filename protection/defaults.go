package protection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

// DefaultFor returns the blueprint that is applied to a workload whose annotations name none: that of its
// namespace's annotation, or that of the first policy by name with action Default that selects it. It is
// empty for a workload that is exempt, that has a BackupConfiguration of somebody's own, or that has
// nothing that outlives its pods and names no paths either. Own is the operator's namespace.
func DefaultFor(o *Object, byHand bool, policies []*Policy, own string) blueprint.Default {
	if byHand || !o.Kind.Supported || o.Kind.Model != target.ModelSidecar || len(blueprint.Names(o.Annotations)) > 0 {
		return blueprint.Default{}
	}
	if target.Excluded(o.Namespace.Name, own) != "" {
		return blueprint.Default{}
	}
	if _, exempt := Exemption(o.Annotations, o.Namespace.Annotations); exempt {
		return blueprint.Default{}
	}
	if !o.Persistent && strings.TrimSpace(o.Annotations[api.AnnotationTargetPaths]) == "" {
		return blueprint.Default{}
	}
	if names := NamespaceDefault(o.Namespace.Annotations); len(names) > 0 {
		return blueprint.Default{Blueprints: names, Source: fmt.Sprintf("Namespace %q", o.Namespace.Name), Field: namespaceDefaultField()}
	}
	sorted := slices.SortedFunc(slices.Values(policies), func(a, b *Policy) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range sorted {
		if p.action() == v1beta1.ActionDefault && p.Spec.Default != nil && p.Selects(o, own) {
			return blueprint.Default{Blueprints: []string{p.Spec.Default.Blueprint}, Source: fmt.Sprintf("ProtectionPolicy %q", p.Name), Field: "spec.default.blueprint"}
		}
	}
	return blueprint.Default{}
}

// namespaceDefaultField is the annotation of a Namespace that asks for blueprints.
func namespaceDefaultField() string {
	return field.NewPath("metadata", "annotations").Key(api.AnnotationBlueprint).String()
}

// NamespaceDefault returns the names of the blueprints that a Namespace's annotation asks for.
func NamespaceDefault(annotations map[string]string) []string {
	return blueprint.Names(map[string]string{api.AnnotationBlueprint: annotations[api.AnnotationBlueprint]})
}

// Defaulted returns the kinds that a blueprint can be applied to by default.
func Defaulted() []target.Kind { return target.Workloads() }
