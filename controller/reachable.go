package controller

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// backend carries what is known of the backend from the Repository to the configuration, which is
// where the owner of an application looks. What was said of an earlier spec says nothing.
func (r *BackupConfigurations) backend(c *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) {
	known := api.FindCondition(repo.Status.Conditions, api.BackendReachable)
	if known == nil || known.ObservedGeneration != repo.Generation {
		api.RemoveCondition(&c.Status.Conditions, api.BackendReachable)
		return
	}
	ok, message := api.IsTrue(repo.Status.Conditions, api.BackendReachable), known.Message
	reason := known.Reason
	if ok && session.Gone(repo) {
		ok, reason = false, session.ReasonGone
		message = api.FindCondition(repo.Status.Conditions, api.BackendRepositoryInitialized).Message
	}
	if !ok {
		message = fmt.Sprintf("Repository \"%s/%s\": %s", repo.Namespace, repo.Name, message)
	}
	r.set(c, api.BackendReachable, ok, reason, message)
}

// doubt has the backend of a configuration asked anew, since an agent could not use it: what is known
// of it is older than that.
func (g *Agents) doubt(ctx context.Context, bs *v1beta1.BackupSession, r protocol.Result) error {
	switch r.Reason {
	case restic.ReasonUnreachable, restic.ReasonAccessDenied, restic.ReasonNoBucket, restic.ReasonWrongPassword, restic.ReasonNoRepository:
	default:
		return nil
	}
	c := &v1beta1.BackupConfiguration{}
	if err := g.Get(ctx, client.ObjectKey{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}, c); err != nil {
		return client.IgnoreNotFound(err) //nolint:wrapcheck // nobody is told of a configuration that is gone
	}
	for _, key := range repositoryKeys(c.Spec.Repository, c.Namespace) {
		err := updateStatus(ctx, g.World, key, &v1alpha1.Repository{}, func(live *v1alpha1.Repository) (bool, error) {
			if live.Status.LastProbeTime == nil || live.Status.LastProbeTime.After(r.Finished) {
				return false, nil
			}
			live.Status.LastProbeTime = nil
			return true, nil
		})
		if ignoreGone(err) != nil {
			return fmt.Errorf("have the backend asked anew: %w", err)
		}
	}
	return nil
}
