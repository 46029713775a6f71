package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// The check itself ends well: that the data is damaged must be told all the same.
func TestFaultsThatACheckFindsAreTold(t *testing.T) {
	no, yes := false, true
	found := &protocol.Maintained{Healthy: &no, Faults: []string{"pack 1234 does not exist"}}
	for name, c := range map[string]struct {
		operation v1alpha1.RepositoryOperation
		result    protocol.Result
		want      []string
	}{
		"with faults":          {v1alpha1.OperationCheck, protocol.Result{Maintained: found}, []string{"FailedToVerifyRepositoryIntegrity"}},
		"without":              {v1alpha1.OperationCheck, protocol.Result{Maintained: &protocol.Maintained{Healthy: &yes}}, nil},
		"one that did not run": {v1alpha1.OperationCheck, protocol.Result{Error: "no", Reason: restic.ReasonOther}, []string{"Check Failed"}},
		"of another operation": {v1alpha1.OperationList, protocol.Result{Maintained: &protocol.Maintained{}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			repo := repository()
			repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w", Operation: c.operation, Pod: "worker", PodUID: "u1"}
			w := newWorld(t, interceptor.Funcs{}, repo)
			c.result.ID, c.result.Finished = "w", noon()
			id := broker.Identity{Namespace: "demo", Pod: "worker", PodUID: "u1", Role: protocol.RoleWorker}
			if err := NewAgents(w).Result(t.Context(), id, c.result); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, reasons(t, w)); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
		})
	}
}
