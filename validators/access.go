package validators

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// Access is a right that whoever writes an object must hold already, since Stash uses it for them.
type Access struct {
	Verb        string
	Group       string
	Resource    string
	Subresource string
	// Namespace is empty where the right must hold in all of them.
	Namespace string
	// Name is empty where the right must hold for every object of the resource.
	Name string
	// Field is the one that asks for it.
	Field *field.Path
	// Why says what Stash does with it.
	Why string
}

// AccessNeeded returns the rights that a request needs beyond that of writing the object itself. Old
// is what the object replaces, nil on creation: a change needs the rights that it makes Stash use
// anew, and one that leaves that as it is, of metadata or of a schedule, needs none. What the object
// lacks asks for nothing; validators refuse it.
//
// A BackupSession needs none: it runs what its configuration says, whose author held the rights.
func AccessNeeded(object, old runtime.Object) []Access {
	switch o := object.(type) {
	case *v1alpha1.Repository:
		before, _ := old.(*v1alpha1.Repository)
		return repositoryAccess(o, before)
	case *v1beta1.BackupConfiguration:
		before, _ := old.(*v1beta1.BackupConfiguration)
		return backupAccess(o, before)
	case *v1beta1.RestoreSession:
		before, _ := old.(*v1beta1.RestoreSession)
		return restoreAccess(o, before)
	case *v1beta1.BackupBlueprint:
		if before, ok := old.(*v1beta1.BackupBlueprint); ok && before != nil {
			return blueprintAccess(&o.Spec, &before.Spec)
		}
		return blueprintAccess(&o.Spec, nil)
	case *v1beta1.BackupTemplate:
		if before, ok := old.(*v1beta1.BackupTemplate); ok && before != nil {
			return blueprintAccess(&o.Spec, &before.Spec)
		}
		return blueprintAccess(&o.Spec, nil)
	case *v1beta1.ProtectionPolicy:
		before, _ := old.(*v1beta1.ProtectionPolicy)
		return policyAccess(o, before)
	case *v1beta1.Function:
		before, _ := old.(*v1beta1.Function)
		return functionAccess(o, before)
	case *v1beta1.Task:
		before, _ := old.(*v1beta1.Task)
		return taskAccess(o, before)
	}
	return nil
}

// repositoryAccess is needed to say that a Repository comes from a blueprint, and for the Secret's contents to
// go to another place, or to the pods of other namespaces.
func repositoryAccess(repo, old *v1alpha1.Repository) []Access {
	return append(originAccess(repo, old), placedAccess(repo, old)...)
}

// originAccess is needed by whoever says that the operator made a Repository, from a blueprint: it keeps its
// place then, whatever the blueprint says. A tool that creates objects again from a backup of the cluster may
// change blueprints too; what is there may stay, or be taken off.
func originAccess(repo, old *v1alpha1.Repository) []Access {
	var had map[string]string
	if old != nil {
		had = old.Annotations
	}
	for _, key := range []string{api.AnnotationExpandedBlueprint, api.AnnotationExpandedFrom} {
		if value, has := repo.Annotations[key]; has && value != had[key] {
			kind, name, _ := strings.Cut(repo.Annotations[api.AnnotationExpandedBlueprint], "/")
			resource := "backupblueprints"
			if kind == v1beta1.KindBackupTemplate {
				resource = "backuptemplates"
			}
			return []Access{{
				Verb: "update", Group: api.Group, Resource: resource, Name: name, Field: field.NewPath("metadata", "annotations").Key(key),
				Why: "it says that the Repository was made from the blueprint; leave out " + api.AnnotationExpandedFrom + " and " + api.AnnotationExpandedBlueprint +
					": where the blueprint has the same backend, the operator writes them",
			}}
		}
	}
	return nil
}

// SaysMore tells whether a change of metadata alone needs rights.
func SaysMore(object, old runtime.Object) bool {
	now, is := object.(*v1alpha1.Repository)
	before, was := old.(*v1alpha1.Repository)
	return is && was && len(originAccess(now, before)) > 0
}

func placedAccess(repo, old *v1alpha1.Repository) []Access {
	if old != nil && equality.Semantic.DeepEqual(repo.Spec.Backend, old.Spec.Backend) &&
		(!shares(repo.Spec.UsagePolicy) || equality.Semantic.DeepEqual(repo.Spec.UsagePolicy, old.Spec.UsagePolicy)) {
		return nil
	}
	return backendAccess(&repo.Spec.Backend, repo.Namespace,
		"backups and restores get the credentials in it", "the volume is mounted into pods that Stash creates there")
}

// shares tells whether a policy admits namespaces beside the Repository's own.
func shares(p *v1alpha1.UsagePolicy) bool {
	return p != nil && p.AllowedNamespaces.From != "" && p.AllowedNamespaces.From != v1alpha1.NamespacesFromSame
}

// backendAccess returns what a backend needs in a namespace, empty for all.
func backendAccess(b *v1alpha1.Backend, namespace, forKeys, forVolume string) []Access {
	at := field.NewPath("spec", "backend")
	var out []Access
	if b.StorageSecretName != "" {
		out = append(out, Access{
			Verb: "get", Resource: "secrets", Namespace: namespace, Name: literal(b.StorageSecretName),
			Field: at.Child("storageSecretName"), Why: forKeys,
		})
	}
	if b.Local != nil {
		out = append(out, Access{Verb: "create", Resource: "pods", Namespace: namespace, Field: at.Child("local"), Why: forVolume})
	}
	return out
}

// backupAccess is needed for what reaches the pods of the target or takes its data elsewhere.
func backupAccess(c, old *v1beta1.BackupConfiguration) []Access {
	spec, _ := c.Spec.Shipped()
	if old != nil {
		before, _ := old.Spec.Shipped()
		if equality.Semantic.DeepEqual(untimed(spec), untimed(before)) {
			return nil
		}
	}
	if spec.Target == nil {
		return nil
	}
	if access, ok := podAccess(spec.Target.Ref, c.Namespace, "a Job of Stash reads the volume there"); ok {
		return access
	}
	return workloadAccess(spec.Target.Ref, c.Namespace, "its pods get the backup sidecar, which reads their volumes")
}

// untimed leaves out what neither the workload nor the way of its data depends on: when backups run,
// how often they are tried, and what is kept of them.
func untimed(spec v1beta1.BackupConfigurationSpec) v1beta1.BackupConfigurationSpec {
	spec.Schedule, spec.TimeZone, spec.Paused = "", "", false
	spec.RetentionPolicy = v1beta1.RetentionPolicy{}
	spec.BackupHistoryLimit, spec.TimeOut, spec.RetryConfig = nil, nil, nil
	return spec
}

func restoreAccess(rs, old *v1beta1.RestoreSession) []Access {
	spec, _ := rs.Spec.Shipped()
	if old != nil && equality.Semantic.DeepEqual(rs.Spec, old.Spec) {
		return nil
	}
	var out []Access
	if ref := spec.Repository; ref.Name != "" {
		namespace := ref.Namespace
		if namespace == "" {
			namespace = rs.Namespace
		}
		out = append(out, Access{
			Verb: api.VerbRestore, Group: api.Group, Resource: "repositories", Namespace: namespace, Name: ref.Name,
			Field: field.NewPath("spec", "repository"), Why: "its snapshots are read",
		})
	}
	if spec.Target != nil {
		if access, ok := podAccess(spec.Target.Ref, rs.Namespace, "a Job of Stash writes to the volume there"); ok {
			return append(out, access...)
		}
		out = append(out, workloadAccess(spec.Target.Ref, rs.Namespace, "its pods get the restore init-container, which writes to their volumes")...)
	}
	return out
}

// podAccess is the right to create pods, by which whoever has it could mount the target's volume.
func podAccess(ref v1beta1.TargetRef, namespace, why string) ([]Access, bool) {
	if !byJob(ref) || ref.Name == "" {
		return nil, false
	}
	return []Access{{
		Verb: "create", Resource: "pods", Namespace: target.Namespace(ref, namespace),
		Field: field.NewPath("spec", "target", "ref"), Why: why,
	}}, true
}

// workloadAccess is the right to change the target, by which whoever has it could mount its volumes.
func workloadAccess(ref v1beta1.TargetRef, namespace, why string) []Access {
	kind, err := target.FindRef(ref)
	if err != nil || ref.Name == "" {
		return nil // refused by name
	}
	return []Access{{
		Verb: "update", Group: kind.GVK.Group, Resource: kind.Resource, Namespace: target.Namespace(ref, namespace), Name: ref.Name,
		Field: field.NewPath("spec", "target", "ref"), Why: why,
	}}
}

// blueprintAccess holds the author of a blueprint to the rights that its Repositories and sidecars need,
// wherever they will be: the owners of applications ask for backups, and choose neither the Secret nor
// where its contents go, nor what the sidecar in their pods may do.
func blueprintAccess(stored, old *v1beta1.BackupBlueprintSpec) []Access {
	spec, _ := stored.Shipped()
	var before *v1beta1.BackupBlueprintSpec
	if old != nil {
		shipped, _ := old.Shipped()
		before = &shipped
	}
	return append(placeAccess(&spec, before), sidecarAccess(&spec, before)...)
}

// placeAccess is needed for the Repositories of a blueprint.
func placeAccess(spec, old *v1beta1.BackupBlueprintSpec) []Access {
	if old != nil && equality.Semantic.DeepEqual(repositories(spec), repositories(old)) {
		return nil
	}
	namespace := literal(spec.RepoNamespace)
	forKeys := "the Repositories of the blueprint name it"
	if namespace == "" {
		forKeys = "each namespace whose workloads name the blueprint gets a Repository that names it; with spec.repoNamespace they are in one"
	}
	b := &spec.Backend
	out := backendAccess(&v1alpha1.Backend{StorageSecretName: b.StorageSecretName}, namespace, forKeys, "")
	if b.Local == nil {
		return out
	}
	// The Repository's worker mounts it, and the sidecars of all targets do. A claim and the like cannot be
	// mounted elsewhere, and are no backend for targets of other namespaces.
	namespaces, why := within(spec), "sidecars of the workloads that name the blueprint mount the volume"
	if namespace != "" && !everywhere(b.Local) {
		namespaces, why = nil, "Repositories of the blueprint mount a volume into pods there"
	}
	if !slices.Contains(namespaces, "") && !slices.Contains(namespaces, namespace) {
		namespaces = append(namespaces, namespace)
	}
	for _, ns := range namespaces {
		out = append(out, backendAccess(&v1alpha1.Backend{Local: b.Local}, ns, "", why)...)
	}
	return out
}

// repositories leaves of a blueprint what decides where Repositories are, what they name and whose
// pods get their credentials.
func repositories(spec *v1beta1.BackupBlueprintSpec) v1beta1.BackupBlueprintSpec {
	return v1beta1.BackupBlueprintSpec{
		Backend: spec.Backend, UsagePolicy: spec.UsagePolicy, AllowedNamespaces: spec.AllowedNamespaces,
		BackupNamespace: spec.BackupNamespace, RepoNamespace: spec.RepoNamespace,
	}
}

// literal returns a string without variables, and nothing for one with any: it may become anything.
func literal(s string) string {
	if strings.Contains(s, "$") {
		return ""
	}
	return s
}
