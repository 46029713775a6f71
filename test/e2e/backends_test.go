package e2e_test

import (
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func backends() []scenario {
	return []scenario{
		{"a repository can lie on a claim", localClaim},
		{"a repository can lie on a path of the nodes", localHostPath},
		{"S3 over TLS is trusted by the CA of the Secret", func(s *site) { secureStorage(s, true) }},
		{"S3 over TLS is trusted blindly where insecureTLS says so", func(s *site) { secureStorage(s, false) }},
	}
}

// roundTrip takes a backup by the configuration and brings the data back.
func (s *site) roundTrip() {
	s.Helper()
	dir := s.claimDir("web")
	want := s.planted(dir, 7)
	s.backupIsWhole(s.backup("conf"), "host-0")
	s.wiped(dir)
	s.restore("back", "repo", workload("Deployment", "web"), data())
	s.restored("back")
	s.running(1)
	s.same("the volume", want, dir)
}

func localClaim(s *site) {
	s.apply("deployment.yaml", vars{"Annotated": false})
	s.onAClaim()
	s.roundTrip()
}

// onAClaim keeps the repository of the application that runs on a claim.
func (s *site) onAClaim() {
	s.Helper()
	// One node alone can mount this kind of claim: it has to be the one of the application.
	node := s.running(1)[0].Spec.NodeName
	s.apply("claim.yaml", vars{"Claim": "backups", "Node": node})
	s.apply("repository-local.yaml", vars{"Local": "{mountPath: /safe, subPath: web, persistentVolumeClaim: {claimName: backups}}"})
	s.apply("configuration.yaml")
	s.configReady("conf")
	s.repoReady("repo")
	s.running(1)
}

// localHostPath keeps the repository in a folder that all nodes share, as a network file system
// would be: /dev/shm is the machine's on each of them.
func localHostPath(s *site) {
	shared := "/dev/shm/" + s.ns
	s.Cleanup(func() {
		if err := os.RemoveAll(shared); err != nil {
			s.Error(err)
		}
	})
	s.apply("deployment.yaml", vars{"Annotated": false})
	s.running(1)
	s.apply("repository-local.yaml", vars{"Local": "{mountPath: /safe, hostPath: {path: " + shared + ", type: DirectoryOrCreate}}"})
	s.apply("configuration.yaml")
	s.configReady("conf")
	s.repoReady("repo")
	s.running(1)
	s.roundTrip()
	if _, err := os.Stat(shared + "/config"); err != nil {
		s.Errorf("the repository is elsewhere: %v", err)
	}
}

func secureStorage(s *site, trusted bool) {
	storage := suite.cluster.Storage()
	endpoint := storage.SecureEndpoint()
	if trusted {
		ca, err := os.ReadFile(storage.CAFile())
		if err != nil {
			s.Fatal(err)
		}
		secret := get(s, "storage", &corev1.Secret{})
		secret.Data["CA_CERT_DATA"] = ca
		if err := suite.client.Update(s.Context(), secret); err != nil {
			s.Fatal(err)
		}
	}
	manifest := s.render("repository.yaml", vars{"Endpoint": endpoint})
	if !trusted {
		manifest = strings.TrimRight(manifest, "\n") + "\n      insecureTLS: true\n"
	}
	s.apply("deployment.yaml", vars{"Annotated": false})
	s.running(1)
	if _, err := suite.kubectl.Run(s.Context(), manifest, "apply", "--namespace="+s.ns, "--filename=-"); err != nil {
		s.Fatal(err)
	}
	s.apply("configuration.yaml")
	s.configReady("conf")
	s.repoReady("repo")
	s.running(1)
	s.roundTrip()
	s.unlocked()
}
