package api_test

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-731df569/stash/test/apiserver"
)

// testClock: the operator's clock jumps, and that of the API server does not. What the operator then
// makes is of the future to everybody else, and our own kinds are closed; when it is set right, they
// are open again: at once where only the leaf was made anew, after the overlap where the CA was.
func testClock(t *testing.T, s *apiserver.Server) {
	s.Install(t)
	i := install(t, s)
	const overlap = 2 * time.Second
	i.keeper.Overlap = overlap
	keep := func(ahead time.Duration) {
		t.Helper()
		i.keeper.Now = func() time.Time { return time.Now().Add(ahead) }
		if err := i.keeper.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		i.bundle, _ = i.keeper.Source.Bundle()
		i.configurations()
	}
	const repository = `{apiVersion: stash.appscode.com/v1alpha1, kind: Repository, metadata: {name: clock, namespace: demo},
  spec: {backend: {storageSecretName: storage, s3: {endpoint: "https://s3.example.com", bucket: backups}}}}`
	ask := func() error {
		out, err := s.TryKubectl(t, repository, "create", "--dry-run=server", "--filename=-")
		if err != nil {
			return errors.New(out)
		}
		return nil
	}
	pods := func() {
		t.Helper()
		s.Kubectl(t, "", "create", "deployment", "clock", "--namespace=demo", "--image=registry.example/app", "--dry-run=server")
	}
	eventually(t, "", ask)
	for _, jump := range []time.Duration{25 * 24 * time.Hour, 400 * 24 * time.Hour} {
		keep(jump)
		eventually(t, "certificate has expired or is not yet valid", ask)
		pods()
		keep(0)
		eventually(t, "", func() error {
			keep(0)
			return ask()
		})
		pods()
	}
}
