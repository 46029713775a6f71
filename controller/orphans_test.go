package controller

import (
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
)

func TestWhatNobodyWantsAnyMoreIsStopped(t *testing.T) {
	tasks := []string{"gone/host-0/1", "s1/host-0/1"}
	worker := sidecar("db-0", "p0")
	worker.Role = protocol.RoleWorker
	for name, c := range map[string]struct {
		id            broker.Identity
		cached, lives []client.Object
		want          []string
	}{
		"a session was deleted":                       {sidecar("db-0", "p0"), []client.Object{running()}, nil, []string{"gone/host-0/1"}},
		"a session is not known here yet":             {sidecar("db-0", "p0"), nil, []client.Object{running()}, []string{"gone/host-0/1"}},
		"a worker's tasks are not those of a session": {worker, nil, nil, nil},
		"all sessions were deleted":                   {sidecar("db-0", "p0"), nil, nil, tasks},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, c.cached...)
			if c.lives != nil {
				w.Live = newWorld(t, interceptor.Funcs{}, c.lives...).Live
			}
			got, err := NewAgents(w).Orphans(t.Context(), c.id, tasks)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}
