package session

import (
	"time"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
)

// repository holds a session back until its repository exists in the backend, and while exclusive
// work is done there.
func repository(o *Backup, now time.Time) (Action, bool) {
	if o.begun() {
		return Action{}, false
	}
	if o.Repository == nil {
		return Fail("RepositoryNotFound", "Repository \""+o.Invoker.Spec.Repository.Name+"\" does not exist"), true
	}
	if !o.Initialized {
		why := whyUnused(o.Repository, "it was not initialised yet")
		name := "Repository \"" + o.Repository.Namespace + "/" + o.Repository.Name + "\""
		if now.After(o.since(o.Session.CreationTimestamp.Time).Add(o.Limits.Repository)) {
			return Fail("FailedToInitializeBackendRepository", name+" cannot be used: "+why), true
		}
		return Wait("waiting for "+name+": "+why, 5*time.Second), true
	}
	if o.Exclusive != "" {
		return Wait("waiting for "+o.Exclusive, 2*time.Second), true
	}
	return Action{}, false
}

// whyUnused says what keeps a Repository from use; otherwise is said where it does not say it itself.
func whyUnused(repo *v1alpha1.Repository, otherwise string) string {
	for _, kind := range []string{api.WorkerReady, api.BackendReachable, api.BackendRepositoryInitialized} {
		if c := api.FindCondition(repo.Status.Conditions, kind); c != nil && c.Status != "True" && c.Message != "" {
			return c.Message
		}
	}
	return otherwise
}
