package e2e_test

import (
	"context"
	"os/exec"
	"path/filepath"

	"github.com/seed-731df569/stash/test/e2e/install"
)

// mainJob is the commit that the main job was finished with. Whoever installed that can upgrade.
const mainJob = "e5efb0b"

// upgradedUnderLoad rolls the installation back to mainJob, has it protect an application, and upgrades
// it while the API server is asked for much.
func upgradedUnderLoad(s *site) {
	s.install(mainJob)
	back := false
	s.Cleanup(func() {
		if !back { // the next test needs this version
			s.upgrade()
		}
	})
	s.asked()
	dir := s.claimDir("web")
	s.planted(dir, 1)
	s.backup("deploy-web")
	old := s.running(1)[0]

	s.nobodyNoticed(s.whileAsked(s.upgrade))
	back = true
	if now := s.running(1)[0]; now.UID != old.UID {
		s.Errorf("pod %s was replaced by %s", old.Name, now.Name)
	}
	s.backupIsWhole(s.backup("deploy-web"), "host-0") // by the sidecar of the older version
	want := s.tree(dir)
	s.kubectl("rollout", "restart", "deployment/web")
	s.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
	s.backupIsWhole(s.backup("deploy-web"), "host-0")
	s.same("the volume", want, dir)
}

// upgrade installs this version. It works in a test's Cleanup, too.
func (s *site) upgrade() {
	s.Helper()
	if err := applyStash(context.WithoutCancel(s.Context())); err != nil {
		s.Fatal(err)
	}
	s.operatorReady()
}

// install installs the version of a commit over what there is.
func (s *site) install(commit string) {
	s.Helper()
	dir := s.TempDir()
	archive := filepath.Join(dir, "module.tar")
	for _, args := range [][]string{
		{"git", "-C", root, "archive", "--output=" + archive, commit},
		{"tar", "--extract", "--directory=" + dir, "--file=" + archive},
	} {
		if out, err := exec.CommandContext(s.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			s.Fatalf("%v: %v: %s (a shallow clone lacks the commit: git fetch --unshallow)", args, err, out)
		}
	}
	image := "stash:" + commit
	built, err := install.Build(s.Context(), suite.cluster.Cache(), dir, image, commit)
	if err != nil {
		s.Fatal(err)
	}
	if err := suite.cluster.LoadImage(s.Context(), built); err != nil {
		s.Fatal(err)
	}
	if err := install.Apply(s.Context(), suite.kubectl, dir, install.Options{Image: image, Args: limits(), Build: commit}); err != nil {
		s.Fatal(err)
	}
	if err := install.Wait(s.Context(), suite.kubectl, "120s"); err != nil {
		s.Fatal(err)
	}
	s.operatorReady()
}
