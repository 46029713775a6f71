package controller

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// A repository with snapshots that is gone is not made anew; one that never was, or whose place was
// changed, is.
func TestARepositoryThatIsGoneIsNotReplacedWithoutAWord(t *testing.T) {
	seen := func(repo *v1alpha1.Repository) {
		noteFound(repo, ago(time.Hour))
		repo.Status.SnapshotCount, repo.Status.LastBackupTime = 7, agoP(2*time.Hour)
	}
	older := func(status metav1.ConditionStatus, of int64) func(*v1alpha1.Repository) {
		return func(repo *v1alpha1.Repository) {
			repo.Status.SnapshotCount = 7
			repo.Status.Conditions = []api.Condition{{Type: api.BackendRepositoryInitialized, Status: status, ObservedGeneration: of}}
		}
	}
	for name, c := range map[string]struct {
		before func(*v1alpha1.Repository)
		gone   bool
	}{
		"one that held snapshots":                   {seen, true},
		"one whose first snapshots nobody counted":  {func(r *v1alpha1.Repository) { seen(r); r.Status.SnapshotCount = 0 }, true},
		"one without any":                           {func(r *v1alpha1.Repository) { noteFound(r, ago(time.Hour)) }, false},
		"one that never was there":                  {func(*v1alpha1.Repository) {}, false},
		"a Repository that was created anew":        {func(r *v1alpha1.Repository) { r.Status.LastBackupTime = agoP(time.Hour) }, false},
		"one whose place was changed":               {func(r *v1alpha1.Repository) { seen(r); r.Spec.Backend.S3.Prefix = "next"; r.Generation = 2 }, false},
		"one whose spec was changed but its place":  {func(r *v1alpha1.Repository) { seen(r); r.Generation = 2 }, true},
		"one that an older version saw":             {older(metav1.ConditionTrue, 1), true},
		"one that it saw at another place":          {older(metav1.ConditionTrue, 0), false},
		"one that an older version did not see yet": {older(metav1.ConditionFalse, 1), false},
	} {
		for of, result := range map[v1alpha1.RepositoryOperation]protocol.Result{
			v1alpha1.OperationProbe: {Maintained: &protocol.Maintained{Exists: new(false)}},
			v1alpha1.OperationList:  {Error: "repository does not exist", Reason: restic.ReasonNoRepository},
		} {
			t.Run(name+", "+string(of), func(t *testing.T) {
				repo := repository()
				repo.Generation = 1
				c.before(repo)
				repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: of, PodUID: "p1", Generation: repo.Generation}
				g := NewAgents(newWorld(t, interceptor.Funcs{}, repo))
				for range 2 { // what is gone stays gone
					result.ID = "w1"
					if err := g.Result(t.Context(), worker(), result); err != nil {
						t.Fatal(err)
					}
					repo = read(t, g.World, "demo", "repo", &v1alpha1.Repository{})
					if session.Gone(repo) != c.gone || c.gone && repo.Status.Phase != v1alpha1.RepositoryNotReady {
						t.Errorf("it is %s: %+v", repo.Status.Phase, repo.Status.Conditions)
					}
					repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: of, PodUID: "p1", Generation: repo.Generation}
					if err := g.Status().Update(t.Context(), repo); err != nil {
						t.Fatal(err)
					}
				}
				said := 0
				for _, r := range reasons(t, g.World) {
					if r == session.ReasonGone {
						said++
					}
				}
				if said > 1 || (said == 1) != c.gone {
					t.Errorf("%d events", said)
				}
			})
		}
	}
}

func TestARepositoryThatIsGoneSaysWhatToDo(t *testing.T) {
	repo := repository()
	noteFound(repo, ago(time.Hour))
	repo.Status.SnapshotCount, repo.Status.LastBackupTime = 7, agoP(2*time.Hour)
	noteAbsent(repo, "", ago(0))
	c := api.FindCondition(repo.Status.Conditions, api.BackendRepositoryInitialized)
	for _, want := range []string{"7 when they were last counted", "2026-03-01T10:00:00Z", "delete this Repository and create it again"} {
		if !strings.Contains(c.Message, want) {
			t.Errorf("it does not say %q: %s", want, c.Message)
		}
	}
	if len(c.Message) > 1024 {
		t.Errorf("%d bytes do not fit into an event", len(c.Message))
	}
	repo.Status.Work = &v1alpha1.RepositoryWork{Operation: v1alpha1.OperationProbe}
	recordWork(repo, *repo.Status.Work, protocol.Result{Maintained: &protocol.Maintained{Exists: new(true)}}, ago(0))
	if session.Gone(repo) || repo.Status.Phase != v1alpha1.RepositoryReady {
		t.Errorf("after it was brought back: %+v", repo.Status)
	}
}
