package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/backend"
	"github.com/seed-731df569/stash/restic"
)

// problem is a fault that a user can mend; its text is for the status.
type problem struct{ text string }

func (p *problem) Error() string { return p.text }

func problemf(format string, args ...any) error { return &problem{fmt.Sprintf(format, args...)} }

// problemOr returns an error, or a fault that a user can mend.
func problemOr(text string, err error) error {
	if err != nil {
		return err
	}
	return problemf("%s", text)
}

// access makes what restic needs to open a Repository. A fault of the user's is a *problem.
func (w *World) access(ctx context.Context, repo *v1alpha1.Repository) (restic.Repository, error) {
	access, _, err := w.accessNow(ctx, repo)
	return access, err
}

// accessNow is access with the version of the storage Secret that it was made of.
func (w *World) accessNow(ctx context.Context, repo *v1alpha1.Repository) (access restic.Repository, version string, err error) {
	b, err := backend.ForBackend(repo.Spec.Backend)
	if err != nil {
		return access, "", problemf("Repository \"%s/%s\": %v", repo.Namespace, repo.Name, err)
	}
	if errs := b.Validate(repo.Spec.Backend, field.NewPath("spec", "backend")); len(errs) > 0 {
		return access, "", problemf("Repository \"%s/%s\": %v", repo.Namespace, repo.Name, errs.ToAggregate())
	}
	secret, err := w.storageSecret(ctx, repo)
	if err != nil {
		return access, "", err
	}
	access, err = b.Repository(repo.Spec.Backend, secret.Data)
	if err != nil {
		return access, "", problemf("Secret \"%s/%s\": %v", repo.Namespace, repo.Spec.Backend.StorageSecretName, err)
	}
	return access, secret.ResourceVersion, nil
}

// storageSecret reads the storage Secret of a Repository; its absence is a problem, not an error.
func (w *World) storageSecret(ctx context.Context, repo *v1alpha1.Repository) (*corev1.Secret, error) {
	name := repo.Spec.Backend.StorageSecretName
	if name == "" {
		return nil, problemf("spec.backend.storageSecretName of Repository \"%s/%s\" is empty: it must name a Secret with the key RESTIC_PASSWORD", repo.Namespace, repo.Name)
	}
	secret, err := w.secret(ctx, repo.Namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, problemf("Secret \"%s/%s\", the storage Secret of Repository %q, does not exist", repo.Namespace, name, repo.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read storage Secret: %w", err)
	}
	return secret, nil
}

// location is the identity of the place that a Repository names; empty where it names none.
func location(repo *v1alpha1.Repository) string {
	b, err := backend.ForBackend(repo.Spec.Backend)
	if err != nil {
		return ""
	}
	return b.Location(repo.Spec.Backend, repo.Namespace)
}
