package e2e_test

import "strings"

// eachPodIsRestored: the pods of a Deployment share no volume, and come one after the other, as each is
// ready. None of them starts empty.
func eachPodIsRestored(s *site) {
	s.apply("blueprint.yaml")
	s.apply("emptydir.yaml", vars{"Replicas": 3})
	pods := s.running(3)
	s.configReady("deploy-web")
	for _, p := range pods {
		s.exec(p.Name, "sh", "-c", "echo kept > /data/file")
	}
	s.backup("deploy-web")
	for _, p := range pods {
		s.exec(p.Name, "rm", "/data/file")
	}
	s.restore("back", "deploy-web", workload("Deployment", "web"), data())
	s.restored("back")
	for _, p := range s.running(3) {
		if got := strings.TrimSpace(s.exec(p.Name, "cat", "/data/file")); got != "kept" {
			s.Errorf("pod %s has %q", p.Name, got)
		}
	}
}
