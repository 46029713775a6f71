package e2e_test

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
)

// repositoryVanishes: somebody empties the bucket. Nothing new is put in the place of what is gone before
// a person says so.
func repositoryVanishes(s *site) {
	s.byHand()
	s.planted(s.claimDir("web"), 1)
	s.backup("conf")
	if err := suite.cluster.Storage().DeleteObjects(s.bucket, "repo/"); err != nil {
		s.Fatal(err)
	}
	s.failed(s.backupNow("conf"))
	s.eventually(long, "the Repository says that its repository is gone", func(ctx context.Context) error {
		r := &v1alpha1.Repository{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "repo"}, r); err != nil {
			return err
		}
		c := api.FindCondition(r.Status.Conditions, api.BackendRepositoryInitialized)
		if r.Status.Phase != v1alpha1.RepositoryNotReady || c == nil || c.Reason != "BackendRepositoryGone" {
			return notYet("it is %q: %s", r.Status.Phase, conditions(r.Status.Conditions))
		}
		s.says(c.Message, "is gone, with its snapshots", "delete this Repository and create it again")
		return nil
	})
	s.failed(s.backupNow("conf"), "is gone, with its snapshots")
	if keys, err := suite.cluster.Storage().Objects(s.bucket, "repo/"); err != nil || len(keys) > 0 {
		s.Errorf("something was put in its place: %v, %v", keys, err)
	}
	s.kubectl("delete", "repository", "repo")
	s.apply("repository.yaml")
	s.repoReady("repo")
	s.backup("conf")
	s.healthy("repo")
}
