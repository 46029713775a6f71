package controller

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/session"
)

// A decision on something old is not written: then the work goes on, and so must its claim.
func TestAClaimGoesOnlyAfterItsWork(t *testing.T) {
	end := map[string]func(*World, *v1alpha1.Repository) error{
		"the leader abandons it": func(w *World, repo *v1alpha1.Repository) error {
			r := &Repositories{World: w}
			o, err := r.observe(t.Context(), repo)
			if err != nil {
				return err
			}
			_, err = r.act(t.Context(), o, session.WorkAction{Abandon: true})
			return err
		},
		"a replica ends it before it begins": func(w *World, repo *v1alpha1.Repository) error { return w.endWork(t.Context(), repo, "") },
	}
	for name, act := range end {
		for _, conflict := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, cl client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
					if conflict {
						return apierrors.NewConflict(v1alpha1.GroupVersion().WithResource("repositories").GroupResource(), o.GetName(), nil)
					}
					return cl.SubResource(sub).Update(ctx, o, opts...)
				}}, maintained(v1alpha1.OperationInit), keys(), configuration())
				repo := read(t, w, "demo", "repo", &v1alpha1.Repository{})
				if err := w.Create(t.Context(), lease(w, repo, "demo/repo/w1", time.Hour)); err != nil {
					t.Fatal(err)
				}
				if err := act(w, repo); (err != nil) != conflict {
					t.Fatal(err)
				}
				if holder, err := w.claimant(t.Context(), repo); err != nil || (holder != "") != conflict {
					t.Errorf("held by %q, %v", holder, err)
				}
			})
		}
	}
}

// A replica of an older build does not note that a worker took its work.
func TestAWorkerThatRunsMayBeAtWorkThoughNobodyNotedIt(t *testing.T) {
	cutOff := condition(api.WorkerReady, false, session.ReasonNotConnected, "", 1)
	for name, c := range map[string]struct {
		before []api.Condition
		op     v1alpha1.RepositoryOperation
		taken  bool
	}{
		"retention":                        {nil, v1alpha1.OperationForget, true},
		"an operation that takes no lock":  {nil, v1alpha1.OperationUnlock, false},
		"a worker that was cut off before": {[]api.Condition{cutOff}, v1alpha1.OperationForget, false},
	} {
		t.Run(name, func(t *testing.T) {
			repo := maintained(c.op)
			repo.Status.Work.AskedTime = nil
			repo.Status.Conditions = append(repo.Status.Conditions, c.before...)
			w := newWorld(t, interceptor.Funcs{}, repo, keys(), configuration())
			repo = read(t, w, "demo", "repo", &v1alpha1.Repository{})
			if err := w.Create(t.Context(), lease(w, repo, "demo/repo/w1", time.Hour)); err != nil {
				t.Fatal(err)
			}
			r := &Repositories{World: w}
			o, err := r.observe(t.Context(), repo)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.act(t.Context(), o, session.WorkAction{Abandon: true, Unreached: true}); err != nil {
				t.Fatal(err)
			}
			holder, err := w.claimant(t.Context(), repo)
			if err != nil || (holder != "") != c.taken {
				t.Errorf("held by %q, %v", holder, err)
			}
			i := read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status.Interrupted
			if (i != nil) != c.taken || i != nil && !i.Until.Time.Equal(noon().Add(10*time.Minute)) {
				t.Errorf("%+v", i)
			}
		})
	}
}
