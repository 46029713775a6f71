package e2e_test

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/test/e2e/install"
	"github.com/seed-731df569/stash/webhook"
)

// TestRemoval comes last: it takes all objects of our kinds with it.
func TestRemoval(t *testing.T) {
	for _, c := range selected(t, "removal", []scenario{
		{"Stash is removed under load, and goes on where it was when it is installed again", removedUnderLoad},
	}) {
		t.Run(c.name, func(t *testing.T) { c.run(newSite(t)) })
	}
}

func removedUnderLoad(s *site) {
	s.asked()
	dir := s.claimDir("web")
	want := s.planted(dir, 1)
	s.backup("deploy-web")
	before := s.snapshots("deployment/web")
	s.nobodyFailed(s.whileAsked(func() {
		if err := install.Remove(s.Context(), suite.kubectl, root, "180s"); err != nil {
			s.Fatal(err)
		}
		s.eventually(long, "the API server asks nobody any more", func(ctx context.Context) error {
			for _, o := range []client.Object{&admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}} {
				err := suite.client.Get(ctx, client.ObjectKey{Name: webhook.ConfigurationName}, o)
				if !apierrors.IsNotFound(err) {
					return notYet("%T: %v", o, err)
				}
			}
			return nil
		})
	}))
	s.nothingOfOurs()
	// Pods start without it.
	s.kubectl("rollout", "restart", "deployment/web")
	s.kubectl("rollout", "status", "deployment/web", "--timeout=120s")

	if err := applyStash(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.apply("blueprint.yaml")
	s.configReady("deploy-web")
	s.asBefore()
	s.backup("deploy-web")
	if now := s.snapshots("deployment/web"); len(now) != len(before)+1 || now[0].ID != before[0].ID {
		s.Errorf("snapshots before: %+v; now: %+v", before, now)
	}
	s.same("the volume", want, dir)
}

// nothingOfOurs fails the test for each object of the cluster's that removal left.
func (s *site) nothingOfOurs() {
	s.Helper()
	kinds := "crd,clusterrole,clusterrolebinding,priorityclass,namespace,apiservice,mutatingwebhookconfiguration," +
		"validatingwebhookconfiguration,validatingadmissionpolicy,validatingadmissionpolicybinding"
	out, err := suite.kubectl.Run(s.Context(), "", "get", kinds, "--output=name")
	if err != nil {
		s.Fatal(err)
	}
	for name := range strings.FieldsSeq(out) {
		if strings.Contains(name, "stash") {
			s.Errorf("%s is left", name)
		}
	}
	out, err = suite.kubectl.Run(s.Context(), "", "get", "role,rolebinding", "--all-namespaces", "--output=name")
	if err != nil {
		s.Fatal(err)
	}
	if strings.Contains(out, "stash") {
		s.Errorf("it is left: %s", out)
	}
}
