package controller

import (
	"context"
	"fmt"

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
	b, err := backend.ForBackend(repo.Spec.Backend)
	if err != nil {
		return restic.Repository{}, problemf("Repository \"%s/%s\": %v", repo.Namespace, repo.Name, err)
	}
	if errs := b.Validate(repo.Spec.Backend, field.NewPath("spec", "backend")); len(errs) > 0 {
		return restic.Repository{}, problemf("Repository \"%s/%s\": %v", repo.Namespace, repo.Name, errs.ToAggregate())
	}
	data, err := w.storageSecret(ctx, repo)
	if err != nil {
		return restic.Repository{}, err
	}
	access, err := b.Repository(repo.Spec.Backend, data)
	if err != nil {
		return restic.Repository{}, problemf("Secret \"%s/%s\": %v", repo.Namespace, repo.Spec.Backend.StorageSecretName, err)
	}
	return access, nil
}

// storageSecret reads the storage Secret of a Repository; its absence is a problem, not an error.
func (w *World) storageSecret(ctx context.Context, repo *v1alpha1.Repository) (map[string][]byte, error) {
	name := repo.Spec.Backend.StorageSecretName
	if name == "" {
		return nil, problemf("spec.backend.storageSecretName of Repository \"%s/%s\" is empty: it must name a Secret with the key RESTIC_PASSWORD", repo.Namespace, repo.Name)
	}
	data, err := w.secretData(ctx, repo.Namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, problemf("Secret \"%s/%s\", the storage Secret of Repository %q, does not exist", repo.Namespace, name, repo.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read storage Secret: %w", err)
	}
	return data, nil
}

// location is the identity of the place that a Repository names; empty where it names none.
func location(repo *v1alpha1.Repository) string {
	b, err := backend.ForBackend(repo.Spec.Backend)
	if err != nil {
		return ""
	}
	return b.Location(repo.Spec.Backend, repo.Namespace)
}
