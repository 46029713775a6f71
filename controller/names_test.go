package controller

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/session"
)

// What another namespace does at the same place of a backend is said without its names: they would
// stand in a status that people read who may not see it.
func TestWorkOfOtherNamespacesIsNotNamed(t *testing.T) {
	for name, c := range map[string]struct {
		namespace, exclusive, claimed string
	}{
		"of the own":      {"demo", `maintenance of Repository "other" to end in the repository`, `Forget of Repository "other"`},
		"of another":      {"secret", "maintenance of a Repository of another namespace to end in the repository", "Forget of a Repository of another namespace"},
		"of nobody known": {"", "maintenance of a Repository of another namespace to end in the repository", ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo, other := repository(), repository()
			w := newWorld(t, interceptor.Funcs{}, repo)
			if c.namespace != "" {
				other.Namespace, other.Name, other.UID, other.ResourceVersion = c.namespace, "other", "u2", ""
				other.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: v1alpha1.OperationForget}
				if err := w.Create(t.Context(), other); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Create(t.Context(), lease(w, repo, c.namespace+"/other/w1", time.Second)); err != nil {
				t.Fatal(err)
			}
			if got, err := w.exclusiveWork(t.Context(), repo); err != nil || got != c.exclusive {
				t.Errorf("%q, %v", got, err)
			}
			o := &session.Repository{Repository: repo}
			if err := (&Repositories{World: w}).observeLocation(t.Context(), o); err != nil || o.Claimed != c.claimed {
				t.Errorf("%q, %v", o.Claimed, err)
			}
		})
	}
}
