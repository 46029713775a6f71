package session

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
)

// ReasonGone is why a repository is not initialised that was there, with snapshots, and is gone.
const ReasonGone = "BackendRepositoryGone"

// Gone tells whether a repository that held snapshots is gone from where it was seen. An empty one in its
// place would look as if all were well.
func Gone(repo *v1alpha1.Repository) bool {
	c := api.FindCondition(repo.Status.Conditions, api.BackendRepositoryInitialized)
	return c != nil && c.Status == metav1.ConditionFalse && c.Reason == ReasonGone
}

// Vanished says what is gone where a backend holds no repository, of which the place is given; empty:
// none with a snapshot is known to have been there, and one may be made. A Repository whose spec names
// another place now, or that was created anew, knows of none.
func Vanished(repo *v1alpha1.Repository, place string) string {
	st := repo.Status
	known := st.Found != nil && st.Found.Place == place
	if c := api.FindCondition(st.Conditions, api.BackendRepositoryInitialized); st.Found == nil && c != nil {
		// A status of an older version.
		known = (c.Status == metav1.ConditionTrue || Gone(repo)) && c.ObservedGeneration == repo.Generation
	}
	if !known || st.SnapshotCount == 0 && st.LastBackupTime == nil {
		return ""
	}
	last := "unknown"
	if at := st.LastBackupTime; at != nil {
		last = at.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("the repository that was here is gone, with its snapshots (%d when they were last counted; last backup: %s): the backend answers and holds none, and Stash makes none in its place. "+
		"Look whether this is the right bucket or volume, whether it is mounted, and what emptied it, and bring the data back; "+
		"to begin anew without it, delete this Repository and create it again", st.SnapshotCount, last)
}
