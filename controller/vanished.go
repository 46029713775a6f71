package controller

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/session"
)

// place stands for the backend location that a Repository names.
func place(repo *v1alpha1.Repository) string { return claimName(location(repo)) }

// noteFound notes that the repository is where its Repository says.
func noteFound(repo *v1alpha1.Repository, now metav1.Time) {
	if at := place(repo); repo.Status.Found == nil || repo.Status.Found.Place != at {
		repo.Status.Found = &v1alpha1.FoundRepository{Place: at, Time: now}
	}
}

// noteAbsent notes that the backend holds no repository, and whether there was one.
func noteAbsent(repo *v1alpha1.Repository, message string, now metav1.Time) {
	st := &repo.Status
	reason := "BackendRepositoryNotFound"
	if gone := session.Vanished(repo, place(repo)); gone != "" {
		reason, message, st.Phase = session.ReasonGone, gone, v1alpha1.RepositoryNotReady
	}
	api.SetCondition(&st.Conditions, condition(api.BackendRepositoryInitialized, false, reason, message, repo.Generation), now)
}

// tellGone tells people that a repository is gone, once.
func (g *Agents) tellGone(before, now *v1alpha1.Repository) {
	if session.Gone(now) && !session.Gone(before) {
		c := api.FindCondition(now.Status.Conditions, api.BackendRepositoryInitialized)
		g.event(now, corev1.EventTypeWarning, session.ReasonGone, c.Message)
	}
}
