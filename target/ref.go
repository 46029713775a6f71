package target

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// Key returns <kind>/<namespace>/<name>, the form in which annotations and logs name a target.
func Key(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

// KeyOf returns the Key of ref, whose namespace is by default that of the object that holds it.
func KeyOf(ref v1beta1.TargetRef, namespace string) string {
	return Key(ref.Kind, Namespace(ref, namespace), ref.Name)
}

// Namespace returns the namespace of ref, by default that of the object that holds it.
func Namespace(ref v1beta1.TargetRef, own string) string {
	if ref.Namespace == "" {
		return own
	}
	return ref.Namespace
}

// FindRef returns the supported kind of ref; errors are those of Find.
func FindRef(ref v1beta1.TargetRef) (Kind, error) { return Find(ref.APIVersion, ref.Kind) }

// Ref returns the reference to an object of the kind.
func (k Kind) Ref(namespace, name string) v1beta1.TargetRef {
	apiVersion, kind := k.GVK.ToAPIVersionAndKind()
	return v1beta1.TargetRef{APIVersion: apiVersion, Kind: kind, Name: name, Namespace: namespace}
}

// Same tells whether two references, held by objects of the given namespaces, name the same object.
// The version inside a group does not matter.
func Same(a v1beta1.TargetRef, aNamespace string, b v1beta1.TargetRef, bNamespace string) bool {
	return group(a) == group(b) && KeyOf(a, aNamespace) == KeyOf(b, bNamespace)
}

// group returns the API group of ref; that of the kind where apiVersion is empty.
func group(ref v1beta1.TargetRef) string {
	if ref.APIVersion == "" {
		if k, err := Find("", ref.Kind); err == nil {
			return k.GVK.Group
		}
		return ""
	}
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return ref.APIVersion
	}
	return gv.Group
}
