package blueprint

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// nameLabel is the label that every namespace has with its own name.
const nameLabel = "kubernetes.io/metadata.name"

// Admits tells whether targets in a namespace with these labels may name the blueprint. A blueprint
// is cluster-scoped, so Same means the namespaces that it puts objects into. A selector that cannot
// be read admits nobody and is an error.
func Admits(spec *v1beta1.BackupBlueprintSpec, namespace string, labels map[string]string) (bool, error) {
	a := spec.AllowedNamespaces
	if a == nil {
		return true, nil
	}
	if a.From == "" || a.From == v1alpha1.NamespacesFromSame {
		return namespace == spec.BackupNamespace || namespace == spec.RepoNamespace, nil
	}
	return target.AllowedFrom(*a, namespace, labels) //nolint:wrapcheck // it names the selector
}

// allowed tells whether the blueprint may be named from the target's namespace.
func (e *expander) allowed() *Problem {
	t := &e.in.Target
	ok, err := Admits(e.stored, t.Namespace, e.in.NamespaceLabels)
	if err != nil {
		p := e.problem(ReasonInvalidBlueprint, "%s %q, spec.allowedNamespaces: %s", e.kind, e.name, err)
		return &p
	}
	if ok {
		return nil
	}
	p := e.problem(ReasonNamespaceNotAllowed, "%s %q may not be used from namespace %q: its spec.allowedNamespaces leaves it out; ask who runs the cluster to admit it", e.kind, e.name, t.Namespace)
	return &p
}

// namespaces fills in where the objects go and checks that the Repository would admit what uses it:
// credentials go to pods in the target's namespace, and the configuration names the Repository.
func (e *expander) namespaces(spec *v1beta1.BackupBlueprintSpec) Problems {
	own := e.in.Target.Namespace
	if spec.BackupNamespace == "" {
		spec.BackupNamespace = own
	}
	if spec.RepoNamespace == "" {
		spec.RepoNamespace = own
	}
	if problems, known := e.namespaceNames(spec); !known {
		return problems
	}
	users := []string{own}
	if spec.BackupNamespace != own {
		users = append(users, spec.BackupNamespace)
	}
	users = slices.DeleteFunc(users, func(ns string) bool { return ns == spec.RepoNamespace })
	if len(users) == 0 {
		return nil
	}
	if spec.UsagePolicy == nil {
		spec.UsagePolicy = policyFor(users)
		return nil
	}
	if e.anyUnresolved("spec.usagePolicy.") {
		return nil // whom it would admit is not known
	}
	var problems Problems
	for _, ns := range users {
		var labels map[string]string
		if ns == own {
			labels = e.in.NamespaceLabels
		}
		ok, err := target.Admits(spec.UsagePolicy, spec.RepoNamespace, ns, labels)
		switch {
		case err != nil:
			problems = append(problems, e.problem(ReasonInvalidBlueprint, "%s %q, spec.usagePolicy: %s", e.kind, e.name, err))
		case !ok && ns != own && spec.UsagePolicy.AllowedNamespaces.From == v1alpha1.NamespacesFromSelector:
			// The labels of backupNamespace are not known here; the configuration's own check has them.
		case !ok:
			problems = append(problems, e.problem(ReasonRepositoryNotAllowed,
				"%s %q puts the Repository into namespace %q, and its spec.usagePolicy does not admit namespace %q: write allowedNamespaces {from: All} or a selector that matches it, or leave usagePolicy out to admit the target's namespace only",
				e.kind, e.name, spec.RepoNamespace, ns))
		}
	}
	return problems
}

// namespaceNames checks the names of namespaces; known tells that both are ones.
func (e *expander) namespaceNames(spec *v1beta1.BackupBlueprintSpec) (problems Problems, known bool) {
	known = true
	for _, f := range []struct{ field, name string }{{"spec.backupNamespace", spec.BackupNamespace}, {"spec.repoNamespace", spec.RepoNamespace}} {
		if e.unresolved[f.field] {
			known = false
		} else if errs := validation.IsDNS1123Label(f.name); len(errs) > 0 {
			known = false
			problems = append(problems, e.problem(ReasonInvalidBlueprint, "%s %q, %s: %q is no name of a namespace: write one, for example backup, or leave the field out for the target's", e.kind, e.name, f.field, f.name))
		}
	}
	return problems, known
}

// policyFor admits exactly the given namespaces, by the label that the API server keeps.
func policyFor(namespaces []string) *v1alpha1.UsagePolicy {
	return &v1alpha1.UsagePolicy{AllowedNamespaces: v1alpha1.AllowedNamespaces{
		From: v1alpha1.NamespacesFromSelector,
		Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: nameLabel, Operator: metav1.LabelSelectorOpIn, Values: namespaces},
		}},
	}}
}
