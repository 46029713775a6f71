package session

import (
	"time"

	"github.com/seed-731df569/stash/api"
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
		why := "it was not initialised yet"
		if c := api.FindCondition(o.Repository.Status.Conditions, api.WorkerReady); c != nil && c.Status != "True" {
			why = c.Message
		} else if c := api.FindCondition(o.Repository.Status.Conditions, api.BackendReachable); c != nil && c.Status != "True" && c.Message != "" {
			why = c.Message
		} else if c := api.FindCondition(o.Repository.Status.Conditions, api.BackendRepositoryInitialized); c != nil && c.Status != "True" && c.Message != "" {
			why = c.Message
		}
		name := "Repository \"" + o.Repository.Namespace + "/" + o.Repository.Name + "\""
		if now.After(o.since(o.Session.CreationTimestamp.Time).Add(o.Limits.Repository)) {
			return Fail("FailedToInitializeBackendRepository", name+" cannot be used: "+why), true
		}
		return Wait("waiting for "+name+": "+why, 5*time.Second), true
	}
	if o.Exclusive != "" {
		return Wait("waiting for "+o.Exclusive+" to end in the repository", 2*time.Second), true
	}
	return Action{}, false
}
