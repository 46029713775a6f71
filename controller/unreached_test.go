package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/session"
)

func TestAWorkerThatNeverTakesItsWorkIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		operation v1alpha1.RepositoryOperation
		abandon   bool
	}{
		"an init, which nobody else may begin": {v1alpha1.OperationInit, false},
		"a probe, which is taken from it":      {v1alpha1.OperationProbe, true},
	} {
		t.Run(name, func(t *testing.T) {
			repo := repository()
			repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: c.operation, Pod: "w", PodUID: "p1", StartTime: metav1.NewTime(noon().Add(-time.Hour))}
			w := newWorld(t, interceptor.Funcs{}, repo)
			o := &session.Repository{Repository: repo, WorkerPod: &session.Pod{Agent: true, Ready: true}, Limits: session.DefaultLimits()}
			a := session.NextWork(o, noon())
			if !a.Unreached || a.Abandon != c.abandon {
				t.Fatalf("%+v", a)
			}
			if _, err := (&Repositories{World: w}).act(t.Context(), o, a); err != nil {
				t.Fatal(err)
			}
			st := read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status
			said := api.FindCondition(st.Conditions, api.WorkerReady)
			if said == nil || said.Status != metav1.ConditionFalse || said.Reason != session.ReasonNotConnected || said.Message != a.Message {
				t.Errorf("it says %+v", said)
			}
			if (st.Work == nil) != c.abandon {
				t.Errorf("its work is %+v", st.Work)
			}
		})
	}
}
