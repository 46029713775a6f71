package target

import (
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/seed-731df569/stash/api/v1alpha1"
)

// Admits tells whether an object in the namespace own, with this usage policy, may be used from the
// namespace with these labels. No policy, and a policy that does not say from where, admit own
// alone. A selector that cannot be read admits nobody and is an error.
func Admits(policy *v1alpha1.UsagePolicy, own, namespace string, namespaceLabels map[string]string) (bool, error) {
	if namespace == own {
		return true, nil
	}
	if policy == nil {
		return false, nil
	}
	return AllowedFrom(policy.AllowedNamespaces, namespace, namespaceLabels)
}

// AllowedFrom tells whether a namespace other than the object's own is among the allowed ones.
func AllowedFrom(allowed v1alpha1.AllowedNamespaces, namespace string, namespaceLabels map[string]string) (bool, error) {
	switch allowed.From {
	case v1alpha1.NamespacesFromAll:
		return true, nil
	case v1alpha1.NamespacesFromSelector:
		if allowed.Selector == nil {
			return false, nil
		}
		s, err := metav1.LabelSelectorAsSelector(allowed.Selector)
		if err != nil {
			return false, fmt.Errorf("read selector: %w", err)
		}
		// Every namespace has its name as a label; a caller that knows the name only is right too.
		set := labels.Set{}
		maps.Copy(set, namespaceLabels)
		set["kubernetes.io/metadata.name"] = namespace
		return s.Matches(set), nil
	default:
		return false, nil
	}
}
