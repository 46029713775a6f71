package controller

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
)

// tellIntegrity says aloud that a check found faults: it ended well, and what it found did not.
func (g *Agents) tellIntegrity(repo *v1alpha1.Repository) {
	if c := api.FindCondition(repo.Status.Conditions, api.RepositoryIntegrityVerified); c != nil && api.IsFalse(repo.Status.Conditions, c.Type) {
		g.event(repo, corev1.EventTypeWarning, c.Reason, c.Message)
	}
}
