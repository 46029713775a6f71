package validators

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

// repositoryRef checks which Repository is named, and whether it admits the namespaces that come to
// use it: that of the object, and that of the target, whose pods get the credentials.
func (r *Result) repositoryRef(ref v1beta1.KindRepositoryRef, own, pods string, f *Facts, at *field.Path) {
	r.namespace(ref.Namespace, "the object's own", at.Child("namespace"))
	if ref.Name == "" {
		r.add(field.Required(at.Child("name"), "the Repository that holds the snapshots; for example deploy-web"))
		return
	}
	if detail := objectName(ref.Name, "deploy-web"); detail != "" {
		r.add(field.Invalid(at.Child("name"), ref.Name, detail))
	}
	repo := f.Repository
	if repo == nil {
		return
	}
	name := repo.Namespace + "/" + repo.Name
	write := blueprint.AdmitElsewhere(repo.Annotations)
	if !f.admits(repo, own) {
		r.add(field.Forbidden(at, fmt.Sprintf("Repository %q does not admit namespace %q: %s", name, own, write)))
	}
	if pods != own && !f.admits(repo, pods) {
		r.add(field.Forbidden(at, fmt.Sprintf("Repository %q does not admit namespace %q, where the target's pods get its credentials: %s", name, pods, write)))
	}
	if l := repo.Spec.Backend.Local; l != nil && pods != repo.Namespace && !everywhere(l) {
		r.add(field.Forbidden(at, fmt.Sprintf("the volume of Repository %q belongs to namespace %q, and the target's pods in namespace %q cannot mount it: use a backend that is the same for both, such as s3 or local.nfs", name, repo.Namespace, pods)))
	}
}

// admits tells whether a Repository may be used from a namespace. One whose labels are not known is
// taken to match a selector: whoever hands out credentials asks again.
func (f *Facts) admits(repo *v1alpha1.Repository, namespace string) bool {
	labels, known := f.Namespaces[namespace]
	ok, err := target.Admits(repo.Spec.UsagePolicy, repo.Namespace, namespace, labels)
	selected := repo.Spec.UsagePolicy != nil && repo.Spec.UsagePolicy.AllowedNamespaces.From == v1alpha1.NamespacesFromSelector
	return err == nil && (ok || selected && !known)
}

// cutOff warns of configurations that the Repository admits no longer.
func (r *Result) cutOff(repo, old *v1alpha1.Repository, f *Facts) {
	for i := range f.Users {
		c := &f.Users[i]
		own := c.Namespace
		gone := slices.ContainsFunc([]string{own, podsNamespace(c)}, func(ns string) bool { return f.admits(old, ns) && !f.admits(repo, ns) })
		if gone {
			r.warn("spec.usagePolicy does not admit BackupConfiguration %q any more: its backups stop, and so do restores there", own+"/"+c.Name)
		}
	}
}

// podsNamespace is where the pods run that a configuration gives credentials to.
func podsNamespace(c *v1beta1.BackupConfiguration) string {
	if c.Spec.Target == nil {
		return c.Namespace
	}
	return target.Namespace(c.Spec.Target.Ref, c.Namespace)
}

// everywhere tells whether pods of any namespace can mount a backend's volume.
func everywhere(l *v1alpha1.LocalSpec) bool { return l.NFS != nil || l.HostPath != nil }
