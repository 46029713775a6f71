package blueprint

import (
	"maps"
	"slices"
	"strings"
)

// Variables returns the variables that a blueprint may use, with their values for a target: the
// shipped names and the draft's dotted ones.
func Variables(t *Target) map[string]string {
	apiVersion, kind := t.Kind.GVK.ToAPIVersionAndKind()
	kind = strings.ToLower(kind)
	return map[string]string{
		"TARGET_API_VERSION": apiVersion, "target.apiVersion": apiVersion,
		"TARGET_KIND": kind, "target.kind": kind,
		"TARGET_NAMESPACE": t.Namespace, "target.namespace": t.Namespace,
		"TARGET_NAME": t.Name, "target.name": t.Name,
		"TARGET_RESOURCE": t.Kind.Resource, "target.resource": t.Kind.Resource,
	}
}

// VariableNames returns the shipped names, sorted.
func VariableNames() []string {
	names := slices.Sorted(maps.Keys(Variables(&Target{})))
	return slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "target.") })
}
