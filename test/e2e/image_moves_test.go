package e2e_test

import (
	"context"
	"path/filepath"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/rollout"
	"github.com/seed-731df569/stash/test/e2e/install"
)

// mirror is where the image moves to: no registry, every node has it.
const mirror = "mirror.example/stash:dev"

// imageMoves has the operator run from an image of another name. Nobody vouched for the old one: its agents
// are refused, and that is said. With --trusted-images they work until their pods are replaced.
func imageMoves(s *site) {
	s.apply("blueprint.yaml")
	s.apply("deployment.yaml")
	old := s.running(1)[0]
	s.configReady("deploy-web")
	s.planted(s.claimDir("web"), 1)
	s.backup("deploy-web")

	archive, err := install.Build(s.Context(), suite.cluster.Cache(), root, mirror, "e2e")
	if err != nil {
		s.Fatal(err)
	}
	if err := suite.cluster.LoadImage(s.Context(), archive); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(s.upgrade) // the next test needs the image of all others
	s.move(archive)
	const trust = "--trusted-images=" + install.Image
	s.eventually(long, "the configuration says that the agent is refused", func(ctx context.Context) error {
		c := &v1beta1.BackupConfiguration{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "deploy-web"}, c); err != nil {
			return err
		}
		cond := api.FindCondition(c.Status.Conditions, api.StashSidecarInjected)
		if cond == nil || cond.Reason != rollout.ReasonRefused || !strings.Contains(cond.Message, trust) || c.Status.Phase != v1beta1.BackupInvokerNotReady {
			return notYet("it is %q: %s", c.Status.Phase, conditions(c.Status.Conditions))
		}
		return nil
	})
	s.failed(s.backupNow("deploy-web"), "it is refused", trust)
	s.sameImage(old.Name, install.Image)

	s.move(archive, trust)
	s.configReady("deploy-web")
	s.backupIsWhole(s.backup("deploy-web"), "host-0")
	if now := s.running(1)[0]; now.UID != old.UID {
		s.Errorf("pod %s was replaced by %s", old.Name, now.Name)
	}

	s.kubectl("rollout", "restart", "deployment/web")
	s.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
	s.sameImage(s.running(1)[0].Name, mirror)
	s.move(archive) // nobody needs the old name any more
	s.configReady("deploy-web")
	s.backupIsWhole(s.backup("deploy-web"), "host-0")
}

// move installs the operator from the mirror, with further flags.
func (s *site) move(archive string, args ...string) {
	s.Helper()
	o := install.Options{Image: mirror, Args: append(limits(), args...), Build: filepath.Base(archive)}
	if err := install.Apply(s.Context(), suite.kubectl, root, o); err != nil {
		s.Fatal(err)
	}
	if err := install.Wait(s.Context(), suite.kubectl, "120s"); err != nil {
		s.Fatal(err)
	}
	s.operatorReady()
}

// sameImage fails the test unless the sidecar of the application's pod has an image.
func (s *site) sameImage(pod, want string) {
	s.Helper()
	pods := s.running(1)
	if c := container(&pods[0], api.ContainerSidecar); pods[0].Name != pod || c == nil || c.Image != want {
		s.Errorf("pod %s, not %s with a sidecar of %s: %+v", pods[0].Name, pod, want, c)
	}
}
