package e2e_test

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-731df569/stash/api"
)

func security() []scenario {
	return []scenario{
		{"a restricted namespace gets a sidecar that is not root", restrictedComesBack},
		{"a restricted namespace can keep its repository on a claim", restrictedKeepsOnAClaim},
		{"files that cannot be read make a backup incomplete and are named", unreadableAreNamed},
		{"keys are seen in restic's environment alone, while it works", keysStayHidden},
	}
}

// restricted runs an application of user 1000 in a namespace of the restricted level, with data of
// its own, and returns where the machine sees its volume.
func (s *site) restricted() string {
	s.Helper()
	s.kubectl("label", "namespace", s.ns, "pod-security.kubernetes.io/enforce=restricted")
	s.apply("blueprint.yaml")
	s.apply("restricted.yaml")
	pod := s.running(1)[0]
	c := container(&pod, api.ContainerSidecar)
	if c == nil {
		s.Fatal("no sidecar")
	}
	if u := c.SecurityContext.RunAsUser; u == nil || *u == 0 {
		s.Errorf("the sidecar runs as %v", u)
	}
	s.configReady("deploy-web")
	s.written(pod.Name)
	return s.claimDir("web")
}

// written makes files of the application's own user in its volume.
func (s *site) written(pod string) {
	s.Helper()
	s.exec(pod, "sh", "-c", `cd /data && mkdir -m 750 a && echo one > a/one && echo two > two && chmod 600 two && ln two a/hard && ln -s ../two a/link && touch -d "2001-02-03 04:05:06" a/one`)
}

func restrictedComesBack(s *site) {
	dir := s.restricted()
	want := s.tree(dir)
	s.backup("deploy-web")
	s.exec(s.running(1)[0].Name, "sh", "-c", "rm -rf /data/*")
	s.restore("back", "deploy-web", workload("Deployment", "web"), data())
	s.restored("back")
	s.running(1)
	s.same("the volume", want, dir)
	s.unlocked()
}

func restrictedKeepsOnAClaim(s *site) {
	s.kubectl("label", "namespace", s.ns, "pod-security.kubernetes.io/enforce=restricted")
	s.apply("restricted.yaml", vars{"Annotated": false})
	s.onAClaim()
	dir := s.claimDir("web")
	s.written(s.running(1)[0].Name)
	want := s.tree(dir)
	s.backup("conf")
	s.exec(s.running(1)[0].Name, "sh", "-c", "rm -rf /data/*")
	s.restore("back", "repo", workload("Deployment", "web"), data())
	s.restored("back")
	s.running(1)
	s.same("the volume", want, dir)
}

func unreadableAreNamed(s *site) {
	dir := s.restricted()
	if err := os.WriteFile(filepath.Join(dir, "of-root-alone"), []byte("secret"), 0o600); err != nil {
		s.Fatal(err)
	}
	bs := s.backup("deploy-web")
	if !api.IsTrue(bs.Status.Conditions, api.Incomplete) {
		s.Errorf("conditions: %s", conditions(bs.Status.Conditions))
	}
	h := bs.Status.Targets[0].Stats[0]
	if h.Incomplete != 1 || !strings.Contains(h.Error, "/data/of-root-alone") || len(h.Snapshots) != 1 {
		s.Errorf("result: %+v", h)
	}
	s.says(bs.Status.Reason, "1 file")
	s.unlocked()
}
