package target

import (
	"fmt"
	"slices"
)

// ExcludedNamespaces are those whose pods and workloads the hooks leave out: a cluster needs the
// first to run, and own is the operator's, which must start without itself. An empty own is left
// out. No workload there can be a target: its pods would never get a sidecar or an init-container.
func ExcludedNamespaces(own string) []string {
	out := []string{"kube-system", "kube-node-lease"}
	if own != "" {
		out = append(out, own)
	}
	return out
}

// Excluded says why no workload of a namespace can be a target, empty if one can. Own is the
// operator's namespace, empty where it is not known.
func Excluded(namespace, own string) string {
	if !slices.Contains(ExcludedNamespaces(own), namespace) {
		return ""
	}
	why := "a cluster needs it to run"
	if namespace == own {
		why = "Stash itself runs there"
	}
	return fmt.Sprintf("Stash leaves the pods of namespace %q alone, since %s: they never get its containers; workloads in other namespaces can be backed up and restored", namespace, why)
}
