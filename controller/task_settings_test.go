package controller

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/mutators"
)

// An emptyDir that outgrows its limit has the pod evicted, and the application with it: whoever says
// nothing of a size has the one that the pod's volume has.
func TestEveryTaskHasACacheThatFitsItsVolume(t *testing.T) {
	silent, bound := configuration(), configuration()
	bound.Name, bound.UID = "bound", "c2"
	bound.Spec.TempDir.SizeLimit, bound.Spec.TempDir.DisableCaching = new(resource.MustParse("8Gi")), true
	other := running()
	other.Name, other.UID, other.Spec.Invoker.Name = "bound-1", "s2", "bound"
	other.Status.Targets[0].Assignments = other.Status.Targets[0].Assignments[:1]
	other.Status.Targets[0].Assignments[0].ID = "s2/host-0/1"
	work := repository()
	work.Name, work.UID = "work", "r3"
	work.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: v1alpha1.OperationList, Pod: "w", PodUID: "p1"}
	objects := []client.Object{silent, bound, repository(), work, keys(), running(), other, restoring()}

	for name, c := range map[string]struct {
		id    broker.Identity
		tasks int
	}{
		"sidecar":        {sidecar("db-0", "p0"), 2},
		"init-container": {initContainer("p9"), 1},
		"worker":         {worker(), 1},
	} {
		for _, volume := range []int64{100 << 20, 0} {
			t.Run(name, func(t *testing.T) {
				c.id.TmpBytes = volume
				o, err := NewAgents(newWorld(t, interceptor.Funcs{}, clones(objects)...)).Orders(t.Context(), c.id, func(string) bool { return false })
				if err != nil || len(o.Tasks) != c.tasks {
					t.Fatalf("%+v, %v", o, err)
				}
				for _, task := range o.Tasks {
					want := protocol.Cache{LimitBytes: mutators.CacheLimit(volume), Disabled: task.ID == "s2/host-0/1"}
					if task.Cache != want {
						t.Errorf("%s: %+v, want %+v", task.ID, task.Cache, want)
					}
				}
			})
		}
	}
}

func clones(list []client.Object) []client.Object {
	out := make([]client.Object, 0, len(list))
	for _, o := range list {
		if c, ok := o.DeepCopyObject().(client.Object); ok {
			out = append(out, c)
		}
	}
	return out
}
