package e2e_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

func workloads() []scenario {
	return []scenario{
		{"an annotated Deployment is backed up on schedule and comes back byte for byte", deploymentComesBack},
		{"an annotated StatefulSet has a host for each pod", statefulSetComesBack},
		{"an annotated DaemonSet has a host for each node", daemonSetComesBack},
		{"a workload with two blueprints of one schedule has both backups", bothBlueprints},
		{"a blueprint can keep everything but the workload in another namespace", vaultKeeps},
	}
}

func deploymentComesBack(s *site) {
	s.apply("blueprint.yaml", vars{"Schedule": "@every 10s"})
	said := s.apply("deployment.yaml")
	s.says(said, "Warning: ", "will create or update Repository "+s.ns+"/deploy-web and BackupConfiguration "+s.ns+"/deploy-web")
	before := s.running(1)
	s.protected(before)
	dir := s.claimDir("web")
	want := s.planted(dir, 1)

	bs := s.scheduled("deploy-web", time.Now())
	s.kubectl("patch", "backupconfiguration", "deploy-web", "--type=merge", `--patch={"spec":{"paused":true}}`)
	s.backupIsWhole(bs, "host-0")
	if n := s.revisions(); n != 1 {
		s.Errorf("the Deployment has %d revisions: it was rolled out a second time", n)
	}
	if after := s.running(1); after[0].UID != before[0].UID {
		s.Error("the pod was replaced")
	}
	s.repositoryKnows("deploy-web", "deployment/web")

	s.wiped(dir)
	s.restore("back", "deploy-web", workload("Deployment", "web"), data())
	rs := s.restored("back")
	s.same("the volume", want, dir)
	if len(rs.Status.Pinned) != 1 || !api.IsTrue(rs.Status.Conditions, api.RestoreCompleted) {
		s.Errorf("status of the restore: %+v", rs.Status)
	}
	s.running(1)
	s.same("the volume, while the application runs", want, dir)
	s.unlocked()
	s.healthy("deployment/web")
}

// bothBlueprints is a workload whose two configurations are due in the same second.
func bothBlueprints(s *site) {
	other := vars{"Blueprint": s.ns + "-offsite", "Prefix": "offsite/${TARGET_NAME}", "Schedule": "@every 15s"}
	s.Cleanup(func() {
		b := &v1beta1.BackupBlueprint{ObjectMeta: metav1.ObjectMeta{Name: s.ns + "-offsite"}}
		if err := suite.client.Delete(context.WithoutCancel(s.Context()), b); client.IgnoreNotFound(err) != nil {
			s.Error(err)
		}
	})
	s.apply("blueprint.yaml", vars{"Schedule": "@every 15s"})
	s.apply("blueprint.yaml", other)
	s.apply("deployment.yaml", vars{"Blueprint": s.ns + "," + s.ns + "-offsite"})
	s.running(1)
	configs := list(s, &v1beta1.BackupConfigurationList{}).Items
	if len(configs) != 2 {
		s.Fatalf("%d configurations", len(configs))
	}
	for i := range configs {
		s.configReady(configs[i].Name)
		s.repoReady(configs[i].Spec.Repository.Name)
	}
	s.planted(s.claimDir("web"), 1)
	after := time.Now()
	for i := range configs {
		s.backupIsWhole(s.scheduled(configs[i].Name, after), "host-0")
	}
	for _, bs := range list(s, &v1beta1.BackupSessionList{}).Items {
		if bs.Status.Phase == v1beta1.BackupSessionSkipped && bs.CreationTimestamp.After(after) && !strings.Contains(bs.Status.Reason, "same configuration") {
			s.Errorf("session %s was skipped: %s", bs.Name, bs.Status.Reason)
		}
	}
}

// backupIsWhole checks the results of a session for its hosts.
func (s *site) backupIsWhole(bs *v1beta1.BackupSession, names ...string) {
	s.Helper()
	s.wholeAt("/data", bs, names...)
}

// wholeAt is backupIsWhole for what is mounted elsewhere.
func (s *site) wholeAt(path string, bs *v1beta1.BackupSession, names ...string) {
	s.Helper()
	if got := hosts(bs); !slices.Equal(got, names) {
		s.Fatalf("hosts are %q, not %q", got, names)
	}
	for _, h := range bs.Status.Targets[0].Stats {
		if h.Phase != v1beta1.HostBackupSucceeded || len(h.Snapshots) != 1 || h.Snapshots[0].Path != path || h.Incomplete != 0 {
			s.Errorf("result of %s: %+v", h.Hostname, h)
		}
		if n := h.Snapshots[0].FileStats.TotalFiles; n == nil || *n < 40 {
			s.Errorf("files of %s: %v", h.Hostname, n)
		}
	}
	s.happened(bs.Name, "BackupSession Succeeded")
}

// repositoryKnows waits until a Repository's status tells of the backups in it.
func (s *site) repositoryKnows(name, prefix string) {
	s.Helper()
	s.repoReady(name)
	s.eventually(soon, "the Repository counts its snapshots", func(ctx context.Context) error {
		r := &v1alpha1.Repository{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, r); err != nil {
			return err
		}
		if st := r.Status; st.LastBackupTime == nil || st.SnapshotCount == 0 || st.TotalSize == "" || len(st.Snapshots) == 0 {
			return notYet("%+v", st)
		}
		return nil
	})
	if all := s.snapshots(prefix); len(all) == 0 {
		s.Error("restic finds no snapshots")
	}
}

func statefulSetComesBack(s *site) {
	s.apply("blueprint.yaml")
	s.apply("statefulset.yaml", vars{"Replicas": 3})
	s.protected(s.running(3))
	s.configReady("sts-web")
	want := map[string]tree{}
	for i := range 3 {
		dir := s.claimDir(fmt.Sprintf("data-web-%d", i))
		want[dir] = s.planted(dir, uint64(i))
	}
	s.backupIsWhole(s.backup("sts-web"), "host-0", "host-1", "host-2")
	for dir := range want {
		s.wiped(dir)
	}
	s.restore("back", "sts-web", workload("StatefulSet", "web"), data())
	rs := s.restored("back")
	if len(rs.Status.Pinned) != 3 || len(rs.Status.Stats) != 3 {
		s.Errorf("status of the restore: %+v", rs.Status)
	}
	s.running(3)
	for dir, t := range want {
		s.same(dir, t, dir)
	}
	s.unlocked()
}

func daemonSetComesBack(s *site) {
	s.apply("blueprint.yaml")
	s.apply("daemonset.yaml")
	pods := s.running(suite.cluster.Nodes)
	s.protected(pods)
	s.configReady("ds-web")
	want, names := map[string]tree{}, []string{}
	for i := range pods {
		dir := s.hostDir(&pods[i])
		want[dir] = s.planted(dir, uint64(i))
		names = append(names, pods[i].Spec.NodeName)
	}
	slices.Sort(names)
	s.backupIsWhole(s.backup("ds-web"), names...)
	for dir := range want {
		s.wiped(dir)
	}
	s.restore("back", "ds-web", workload("DaemonSet", "web"), data())
	s.restored("back")
	s.running(suite.cluster.Nodes)
	for dir, t := range want {
		s.same(dir, t, dir)
	}
	s.unlocked()
}

// hostDir returns where the machine sees the folder of a DaemonSet's pod. It is nobody's, so the
// test removes it.
func (s *site) hostDir(pod *corev1.Pod) string {
	dir := suite.cluster.DiskPath(pod.Spec.NodeName, "/var/lib/"+s.ns)
	s.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			s.Error(err)
		}
	})
	return dir
}
