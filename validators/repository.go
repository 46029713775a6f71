package validators

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/backend"
)

// Repository validates repo. Old is what it replaces, nil on creation and for stored objects; a
// request that leaves the spec as it is is never refused.
func Repository(repo, old *v1alpha1.Repository, f Facts) Result {
	var r Result
	if old != nil && equality.Semantic.DeepEqual(repo.Spec, old.Spec) {
		return r
	}
	at := field.NewPath("spec")
	r.backend(&repo.Spec.Backend, at.Child("backend"))
	r.later(repo.Spec.WipeOut, at.Child("wipeOut"), "deletion of the data together with the Repository is")
	r.usagePolicy(repo.Spec.UsagePolicy, at.Child("usagePolicy"))
	r.sameLocation(f.SameLocation, repo.Namespace)
	if old != nil {
		r.expandedRepository(old, f.Users)
		r.relocated(repo, old, at.Child("backend"))
		r.cutOff(repo, old, &f)
	}
	return r
}

// sameLocation warns, in one sentence, of other Repositories at the same place. Which are in other
// namespaces, and how many, is none of the author's business.
func (r *Result) sameLocation(others []string, namespace string) {
	var named []string
	elsewhere := false
	for _, other := range others {
		if strings.HasPrefix(other, namespace+"/") {
			named = append(named, fmt.Sprintf("Repository %q", other))
		} else {
			elsewhere = true
		}
	}
	if n := len(named); n > maxNamed {
		named = append(named[:maxNamed], fmt.Sprintf("%d more of this namespace", n-maxNamed))
	}
	if elsewhere {
		named = append(named, "a Repository of another namespace")
	}
	switch len(named) {
	case 0:
	case 1:
		r.warn("%s is at the same place of the backend: they share snapshots and locks", named[0])
	default:
		r.warn("%s are at the same place of the backend: they share snapshots and locks", strings.Join(named, ", "))
	}
}

func (r *Result) backend(b *v1alpha1.Backend, at *field.Path) {
	r.add(backend.Validate(*b, at)...)
	storage, err := backend.ForBackend(*b)
	if err != nil {
		return
	}
	if b.StorageSecretName == "" {
		r.add(field.Required(at.Child("storageSecretName"), fmt.Sprintf("the Secret, in the Repository's namespace, that holds %s; for example s3-secret", list(storage.Keys().Required))))
	} else if detail := objectName(b.StorageSecretName, "s3-secret"); detail != "" {
		r.add(field.Invalid(at.Child("storageSecretName"), b.StorageSecretName, detail))
	}
	r.Warnings = append(r.Warnings, storage.Warnings(*b)...)
}

// usagePolicy checks who may use the Repository, and says what that gives away.
func (r *Result) usagePolicy(p *v1alpha1.UsagePolicy, at *field.Path) {
	if p == nil {
		return
	}
	r.allowedNamespaces(&p.AllowedNamespaces, at.Child("allowedNamespaces"))
	if p.AllowedNamespaces.From == v1alpha1.NamespacesFromAll || p.AllowedNamespaces.From == v1alpha1.NamespacesFromSelector {
		r.warn("%s: pods of these namespaces are handed the credentials of the storage Secret for their backups and restores", at)
	}
}

func (r *Result) allowedNamespaces(a *v1alpha1.AllowedNamespaces, at *field.Path) {
	switch a.From {
	case v1alpha1.NamespacesFromSelector:
		if a.Selector == nil {
			r.add(field.Required(at.Child("selector"), "from: Selector needs the labels of the namespaces; for example {matchLabels: {team: shop}}"))
		} else if _, err := metav1.LabelSelectorAsSelector(a.Selector); err != nil {
			r.add(field.Invalid(at.Child("selector"), a.Selector, err.Error()+"; for example {matchLabels: {team: shop}}"))
		}
	case "", v1alpha1.NamespacesFromSame, v1alpha1.NamespacesFromAll:
		if a.Selector != nil {
			r.warn("%s has no effect unless from is Selector", at.Child("selector"))
		}
	default:
		r.add(field.NotSupported(at.Child("from"), a.From, []v1alpha1.FromNamespaces{v1alpha1.NamespacesFromAll, v1alpha1.NamespacesFromSelector, v1alpha1.NamespacesFromSame}))
	}
}

// relocated refuses to point a Repository in use at another place: its snapshots would be out of
// reach, and backups would start anew without a word. Endpoint spellings of one place may change.
func (r *Result) relocated(repo, old *v1alpha1.Repository, at *field.Path) {
	used := len(old.Status.References) > 0 || old.Status.SnapshotCount > 0 || old.Status.LastBackupTime != nil
	before, err := backend.ForBackend(old.Spec.Backend)
	after, afterErr := backend.ForBackend(repo.Spec.Backend)
	if !used || err != nil || afterErr != nil {
		return
	}
	if before.Name() != after.Name() || before.Location(old.Spec.Backend, old.Namespace) != after.Location(repo.Spec.Backend, repo.Namespace) {
		r.add(field.Forbidden(at, "the place of a Repository in use cannot be changed, since its snapshots would be out of reach: create another Repository and name it in the BackupConfiguration"))
	}
}
