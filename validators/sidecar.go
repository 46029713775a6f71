package validators

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/target"
)

// sidecarAccess is needed for settings by which a blueprint's author has more of the pods of others than
// a backup: what runs in them, and with which privileges. A blueprint that is in use reaches them without
// a word of their owners, as the workloads are rolled out for its change.
func sidecarAccess(spec, old *v1beta1.BackupBlueprintSpec) []Access {
	raised, names := raising(spec.RuntimeSettings.Container)
	if len(names) == 0 {
		return nil
	}
	if old != nil && equality.Semantic.DeepEqual(raised, raisedBy(old)) &&
		equality.Semantic.DeepEqual(spec.AllowedNamespaces, old.AllowedNamespaces) && slices.Equal(within(spec), within(old)) {
		return nil
	}
	var out []Access
	for _, ns := range within(spec) {
		for _, k := range target.Workloads() {
			out = append(out, Access{
				Verb: "update", Group: k.GVK.Group, Resource: k.Resource, Namespace: ns,
				Field: field.NewPath("spec", "runtimeSettings", "container"),
				Why:   "with " + list(names) + " the sidecar does more than back up, in the pods of all workloads that name the blueprint",
			})
		}
	}
	return out
}

// within returns the namespaces whose workloads can name a blueprint, as far as it says so itself; empty
// stands for all of them.
func within(spec *v1beta1.BackupBlueprintSpec) []string {
	a := spec.AllowedNamespaces
	if a == nil || a.From != "" && a.From != v1alpha1.NamespacesFromSame {
		return []string{""}
	}
	var out []string
	for _, ns := range []string{spec.BackupNamespace, spec.RepoNamespace} {
		if ns = literal(ns); ns != "" && !slices.Contains(out, ns) {
			out = append(out, ns)
		}
	}
	return out
}

// raising returns of a container's settings those that do more than bound it, and their names. Resources,
// nice and ionice bound it, and so do variables by which restic and the agent take less or more of the node.
func raising(c *v1beta1.ContainerRuntimeSettings) (out v1beta1.ContainerRuntimeSettings, names []string) {
	if c == nil {
		return out, nil
	}
	out = v1beta1.ContainerRuntimeSettings{
		LivenessProbe: c.LivenessProbe, ReadinessProbe: c.ReadinessProbe, Lifecycle: c.Lifecycle, EnvFrom: c.EnvFrom,
		Env: slices.DeleteFunc(slices.Clone(c.Env), tunes),
	}
	if !restricts(c.SecurityContext) {
		out.SecurityContext = c.SecurityContext
	}
	for _, s := range []struct {
		name  string
		given bool
	}{
		{"lifecycle", out.Lifecycle != nil},
		{"livenessProbe", out.LivenessProbe != nil},
		{"readinessProbe", out.ReadinessProbe != nil},
		{"env", len(out.Env) > 0},
		{"envFrom", len(out.EnvFrom) > 0},
		{"securityContext", out.SecurityContext != nil},
	} {
		if s.given {
			names = append(names, s.name)
		}
	}
	return out, names
}

// tunes tells whether a variable says how restic works, and neither what a Secret holds nor where restic
// connects to.
func tunes(e corev1.EnvVar) bool {
	return e.ValueFrom == nil && !strings.Contains(e.Value, "$(") && slices.Contains(restic.TuningEnv(), e.Name)
}

func raisedBy(spec *v1beta1.BackupBlueprintSpec) v1beta1.ContainerRuntimeSettings {
	out, _ := raising(spec.RuntimeSettings.Container)
	return out
}

// restricts tells whether a security context leaves a container less than it has without, or as much: it
// runs as root then where the namespace lets it. What is not known to restrict does not.
func restricts(s *corev1.SecurityContext) bool {
	if s == nil {
		return true
	}
	other := *s
	other.RunAsUser, other.RunAsGroup, other.RunAsNonRoot = nil, nil, nil
	other.ReadOnlyRootFilesystem, other.AllowPrivilegeEscalation, other.Privileged = nil, nil, nil
	other.Capabilities, other.SeccompProfile = nil, nil
	root := func(id *int64) bool { return id != nil && *id == 0 }
	caps, seccomp := s.Capabilities, s.SeccompProfile
	switch {
	case other != corev1.SecurityContext{}:
		return false // labels and profiles of the node's
	case root(s.RunAsUser), root(s.RunAsGroup):
		return false // a restricted namespace's would not be
	case s.RunAsNonRoot != nil && !*s.RunAsNonRoot, s.ReadOnlyRootFilesystem != nil && !*s.ReadOnlyRootFilesystem:
		return false
	case s.AllowPrivilegeEscalation != nil && *s.AllowPrivilegeEscalation, s.Privileged != nil && *s.Privileged:
		return false
	case caps != nil && (len(caps.Add) > 0 || !slices.Contains(caps.Drop, "ALL")):
		return false // it replaces ours, which drops all and adds what reads files
	case seccomp != nil && seccomp.Type != corev1.SeccompProfileTypeRuntimeDefault:
		return false
	}
	return true
}
