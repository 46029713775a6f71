package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/session"
)

// A claim is a Lease in the operator's namespace, one for each backend location that exclusive work
// is done at. Creating it is atomic at the API server, so that two Repositories of one location, or
// two leaders, never begin at once: parallel inits destroy a repository though each reports success.

// claimName is the name of the Lease of a location.
func claimName(loc string) string {
	sum := sha256.Sum256([]byte(loc))
	return "stash-location-" + hex.EncodeToString(sum[:10])
}

// claimHolder names the work that a claim is for.
func claimHolder(repo *v1alpha1.Repository, workID string) string {
	return repo.Namespace + "/" + repo.Name + "/" + workID
}

// claim takes the location for exclusive work; it returns the holder where there is another.
func (w *World) claim(ctx context.Context, repo *v1alpha1.Repository, workID string) (other string, err error) {
	holder := claimHolder(repo, workID)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: claimName(location(repo)),
			Labels: map[string]string{api.LabelManagedBy: api.ManagedBy},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder},
	}
	if err := w.Create(ctx, lease); err == nil {
		return "", nil
	} else if !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("claim location: %w", err)
	}
	other, err = w.claimant(ctx, repo)
	if err == nil && other == holder {
		return "", nil
	}
	return other, err
}

// claimant returns the holder of a Repository's location; empty where it is free.
func (w *World) claimant(ctx context.Context, repo *v1alpha1.Repository) (string, error) {
	loc := location(repo)
	if loc == "" {
		return "", nil
	}
	lease := &coordinationv1.Lease{}
	err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: claimName(loc)}, lease)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read claim: %w", err)
	}
	if lease.Spec.HolderIdentity == nil {
		return "", nil
	}
	return *lease.Spec.HolderIdentity, nil
}

// unclaim gives a location back, if the work still holds it.
func (w *World) unclaim(ctx context.Context, repo *v1alpha1.Repository, workID string) error {
	lease := &coordinationv1.Lease{}
	key := client.ObjectKey{Namespace: w.Namespace, Name: claimName(location(repo))}
	if err := w.Live.Get(ctx, key, lease); err != nil {
		return client.IgnoreNotFound(err)
	}
	if h := lease.Spec.HolderIdentity; h == nil || *h != claimHolder(repo, workID) {
		return nil
	}
	uid := lease.UID
	if err := w.Delete(ctx, lease, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("release location: %w", err)
	}
	return nil
}

// claimGrace is how old a claim is before its work must stand in the Repository's status: it is
// taken a moment before.
const claimGrace = 2 * time.Minute

// exclusiveWork names, for a person, the exclusive work that holds a Repository's location. A claim
// whose work no Repository knows is given back: its Repository was deleted, or its leader died.
func (w *World) exclusiveWork(ctx context.Context, repo *v1alpha1.Repository) (string, error) {
	loc := location(repo)
	if loc == "" {
		return "", nil
	}
	lease := &coordinationv1.Lease{}
	if err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: claimName(loc)}, lease); err != nil {
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "", fmt.Errorf("read claim: %w", err)
	}
	holder := ""
	if lease.Spec.HolderIdentity != nil {
		holder = *lease.Spec.HolderIdentity
	}
	alive, look, err := w.worksFor(ctx, holder, repo.Namespace)
	if err != nil {
		return "", err
	}
	if look != "" {
		return look, nil
	}
	if alive || w.Now().Sub(lease.CreationTimestamp.Time) < claimGrace {
		return "maintenance of " + named(holder, repo.Namespace) + " to end in the repository", nil
	}
	uid := lease.UID
	if err := w.Delete(ctx, lease, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("release location: %w", err)
	}
	return "", nil
}

// named names the Repository of a claim for a person in a namespace.
func named(holder, namespace string) string {
	if ns, name, _, ok := splitHolder(holder); ok && ns == namespace {
		return fmt.Sprintf("Repository %q", name)
	}
	return "a Repository of another namespace"
}

// worksFor tells whether the work of a claim stands in its Repository's status; look says, for a person
// in a namespace, that it ended in its middle and that the claim is kept until locks were looked at.
func (w *World) worksFor(ctx context.Context, holder, namespace string) (alive bool, look string, err error) {
	ns, name, id, ok := splitHolder(holder)
	if !ok {
		return false, "", nil
	}
	repo := &v1alpha1.Repository{}
	if err := w.Live.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, repo); err != nil {
		if apierrors.IsNotFound(err) {
			return false, "", nil
		}
		return false, "", fmt.Errorf("read claimant: %w", err)
	}
	look = session.AwaitedLook(repo, named(holder, namespace), w.Now())
	return look != "" || repo.Status.Work != nil && repo.Status.Work.ID == id, look, nil
}

// takeOver gives the claim that interrupted work of a Repository has kept to the look at its locks, and
// tells whether there was one: since that work began, no agent was given any at the location.
func (w *World) takeOver(ctx context.Context, repo *v1alpha1.Repository, workID string) (bool, error) {
	if session.Interrupted(repo, w.Now()) == nil {
		return false, nil
	}
	lease := &coordinationv1.Lease{}
	if err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: claimName(location(repo))}, lease); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	if h := lease.Spec.HolderIdentity; h == nil || !strings.HasPrefix(*h, claimHolder(repo, "")) {
		return false, nil
	}
	holder := claimHolder(repo, workID)
	lease.Spec.HolderIdentity = &holder
	if err := w.Update(ctx, lease); err != nil {
		return false, fmt.Errorf("take claim over: %w", err)
	}
	return true, nil
}
