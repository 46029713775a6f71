package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/task"
	"github.com/seed-731df569/stash/validators"
)

// Facts implements webhook.Own. Of a backup and a restore it says what does not exist: who has misspelt a
// name is still looking.
func (a *Admission) Facts(ctx context.Context, object runtime.Object) (validators.Facts, error) {
	f, err := a.World.Facts(ctx, object)
	if err != nil {
		return f, err
	}
	switch o := object.(type) {
	case *v1beta1.BackupConfiguration:
		spec, _ := o.Spec.Shipped()
		var ref *v1beta1.TargetRef
		if t := spec.Target; t != nil && validators.ClaimTask(spec.Task, t.Ref, task.ActionBackup).Name == "" {
			ref = &t.Ref // what a Task works on need not be a workload
		}
		f.Missing = a.missing(ctx, &f, spec.Repository, ref, o.Namespace)
	case *v1beta1.RestoreSession:
		spec, _ := o.Spec.Shipped()
		var ref *v1beta1.TargetRef
		if spec.Target != nil {
			ref = &spec.Target.Ref
			if f.InUseBy, err = a.inUseBy(ctx, *ref, o.Namespace); err != nil {
				return f, err
			}
		}
		f.Missing = a.missing(ctx, &f, spec.Repository, ref, o.Namespace)
	}
	return f, nil
}

// missing names the Repository and the target that an object of a namespace names and that do not exist,
// of those that the facts do not have.
func (a *Admission) missing(ctx context.Context, f *validators.Facts, repository v1beta1.KindRepositoryRef, ref *v1beta1.TargetRef, namespace string) []string {
	var out []string
	if key := repositoryKeys(repository, namespace)[0]; f.Repository == nil && a.gone(ctx, key, &v1alpha1.Repository{}) {
		out = append(out, fmt.Sprintf("Repository %q", key))
	}
	if ref == nil || f.Target != nil {
		return out
	}
	k, err := target.FindRef(*ref)
	if err != nil {
		return out // the validator says what is wrong with the reference
	}
	obj, ok := k.New().(client.Object)
	key := client.ObjectKey{Namespace: target.Namespace(*ref, namespace), Name: ref.Name}
	if ok && a.gone(ctx, key, obj) {
		out = append(out, fmt.Sprintf("%s %q", k, key))
	}
	return out
}

// PairFacts implements webhook.Own. Of a Repository that is not there yet it says whether its Secret is
// missing; one that is there says so itself.
func (a *Admission) PairFacts(ctx context.Context, p blueprint.Pair, others []blueprint.Pair) (validators.Facts, error) {
	f, err := a.World.PairFacts(ctx, p, others)
	if err != nil || p.Repository.Spec.Backend.StorageSecretName == "" {
		return f, err
	}
	if a.Get(ctx, client.ObjectKeyFromObject(p.Repository), &v1alpha1.Repository{}) == nil {
		return f, nil
	}
	key := client.ObjectKey{Namespace: p.Repository.Namespace, Name: p.Repository.Spec.Backend.StorageSecretName}
	if a.gone(ctx, key, secretMetadata()) {
		f.Missing = append(f.Missing, fmt.Sprintf("Secret %q", key))
	}
	return f, nil
}

// gone tells whether the API server, which knows what the cache may not have seen yet, says that an
// object does not exist. Whoever cannot be asked has not said so.
func (a *Admission) gone(ctx context.Context, key client.ObjectKey, obj client.Object) bool {
	return key.Name != "" && apierrors.IsNotFound(a.Live.Get(ctx, key, obj))
}

// secretMetadata is a Secret without what is in it.
func secretMetadata() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return m
}
