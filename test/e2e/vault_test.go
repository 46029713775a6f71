package e2e_test

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// inVault is the same site, seen from a namespace where a backup team keeps Repositories and
// configurations.
func (s *site) inVault() *site {
	s.Helper()
	vault := *s
	vault.ns = s.ns + "-vault"
	vault.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: vault.ns}})
	s.Cleanup(vault.leave)
	s.Cleanup(func() { vault.nothingShown(vault.ns) })
	s.Cleanup(vault.dump)
	vault.apply("secret.yaml")
	return &vault
}

// The keys are in the vault alone, and so is everything but the workload and the restore.
func vaultKeeps(s *site) {
	vault := s.inVault()
	s.kubectl("delete", "secret", "storage")
	s.apply("blueprint.yaml", vars{"Vault": vault.ns})
	said := s.apply("deployment.yaml")
	s.says(said, "Warning: ", "will create or update Repository "+vault.ns+"/")
	s.running(1)
	configs := list(vault, &v1beta1.BackupConfigurationList{}).Items
	repos := list(vault, &v1alpha1.RepositoryList{}).Items
	if len(configs) != 1 || len(repos) != 1 {
		s.Fatalf("%d configurations and %d Repositories in the vault", len(configs), len(repos))
	}
	config, repo := configs[0].Name, repos[0].Name
	vault.configReady(config)
	vault.repoReady(repo)
	dir := s.claimDir("web")
	want := s.planted(dir, 3)
	vault.backupIsWhole(vault.backup(config), "host-0")
	s.wiped(dir)
	rs := s.restoreOf("back", repo, workload("Deployment", "web"), data())
	rs.Spec.Repository.Namespace = vault.ns
	s.create(rs)
	s.restored("back")
	s.running(1)
	s.same("the volume", want, dir)
	if n := len(list(s, &v1alpha1.RepositoryList{}).Items) + len(list(s, &v1beta1.BackupConfigurationList{}).Items) + len(list(s, &v1beta1.BackupSessionList{}).Items); n != 0 {
		s.Errorf("%d objects of the vault's are in the application's namespace", n)
	}
}
