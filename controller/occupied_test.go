package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/session"
)

// A session is assigned, or a restore chooses its snapshots, after the cache was looked at and before
// the location is claimed.
func TestExclusiveWorkGivesWayToWhatBeganMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		begins client.Object
		another,
		gives bool
	}{
		"a backup":                       {begins: running(), gives: true},
		"a backup by another Repository": {begins: running(), another: true, gives: true},
		"a restore":                      {begins: restoring(), gives: true},
		"nothing":                        {},
	} {
		t.Run(name, func(t *testing.T) {
			repo, same := repository(), repository()
			same.Name, same.UID = "same", "r2"
			w := newWorld(t, interceptor.Funcs{Create: func(ctx context.Context, cl client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				if _, ok := obj.(*coordinationv1.Lease); ok && c.begins != nil {
					if err := cl.Create(ctx, c.begins); err != nil {
						return err
					}
				}
				return cl.Create(ctx, obj, opts...)
			}}, repo, same, keys(), configuration())
			r := &Repositories{World: w}
			if c.another {
				repo = read(t, w, "demo", "same", &v1alpha1.Repository{})
			}
			o, err := r.observe(t.Context(), repo)
			if err != nil || o.Busy {
				t.Fatalf("%+v, %v", o, err)
			}
			o.Worker = &session.Pod{Name: "w", UID: "p1"}
			got, err := r.begin(t.Context(), o, repo, session.WorkAction{Operation: v1alpha1.OperationUnlock})
			if err != nil || got == 0 || (repo.Status.Work == nil) != c.gives {
				t.Fatalf("%s, %v: %+v", got, err, repo.Status.Work)
			}
			err = w.Get(t.Context(), client.ObjectKey{Namespace: "stash", Name: claimName(location(repo))}, &coordinationv1.Lease{})
			if apierrors.IsNotFound(err) != c.gives {
				t.Errorf("the claim: %v", err)
			}
		})
	}
}

// A task that was assigned as exclusive work began is handed out when that has ended, and its agent is
// not taken for one that is away.
func TestATaskWaitsForExclusiveWork(t *testing.T) {
	rs := restoring()
	rs.Status.Pinned = []v1beta1.PinnedSnapshot{{Hostname: "host-0", ID: "aa", Path: "/data"}}
	for name, c := range map[string]struct {
		id   broker.Identity
		held func(*World) *v1beta1.Assignment
	}{
		"a backup": {sidecar("db-0", "p0"), func(w *World) *v1beta1.Assignment {
			return &read(t, w, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0].Assignments[0]
		}},
		"a restore": {initContainer("p9"), func(w *World) *v1beta1.Assignment {
			return &read(t, w, "demo", "back", &v1beta1.RestoreSession{}).Status.Assignments[1]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			repo := repository()
			repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: v1alpha1.OperationForget}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, keys(), configuration(), running(), rs.DeepCopy()))
			now := noon()
			g.Now = func() time.Time { return now }
			l := lease(g.World, repo, "demo/repo/w1", time.Second)
			if err := g.Create(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			has := func(string) bool { return false }
			for range 10 {
				o, err := g.Orders(t.Context(), c.id, has)
				if err != nil || len(o.Tasks) > 0 || !strings.Contains(o.Wait, `maintenance of Repository "repo"`) {
					t.Fatalf("%+v, %v", o, err)
				}
				if a := c.held(g.World); a.Held == nil || now.Sub(a.Held.Time) >= session.DefaultLimits().Accept/2 {
					t.Fatalf("at %s it is held since %v", now, a.Held)
				}
				now = now.Add(15 * time.Second)
			}
			if a := c.held(g.World); !strings.Contains(a.HeldReason, `maintenance of Repository "repo"`) {
				t.Errorf("it is held for %q", a.HeldReason)
			}
			if err := g.Delete(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			if o, err := g.Orders(t.Context(), c.id, has); err != nil || len(o.Tasks) != 1 {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}
