package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

func restores() []scenario {
	return []scenario{
		{"hosts get what their rules say", hostsGetTheirRules},
		{"a snapshot by its ID, parts of it by pattern, and what else is there stays or goes", partsOfASnapshot},
		{"a restore that would bring nothing back fails and destroys nothing", nothingToRestore},
		{"a restore of what no snapshot holds fails, and the application goes on", matchesNothing},
		{"a restore that fails in the middle holds its pod until it is deleted", failsInTheMiddle},
		{"a second start of the pod does not restore again, and later pods start without us", restoredOnce},
		{"a restore never runs under a living pod", neverUnderALivingPod},
		{"each pod that has a volume of its own is restored", eachPodIsRestored},
		{"a second restore of a target waits and opens no door", secondRestoreWaits},
		{"the pod does not start on missing data while the storage cannot be reached", unreachableWhileRestoring},
	}
}

// sub makes a folder in a volume.
func (s *site) sub(dir string, i int) string {
	s.Helper()
	path := filepath.Join(dir, fmt.Sprintf("sub-%d", i))
	if err := os.MkdirAll(path, 0o755); err != nil {
		s.Fatal(err)
	}
	return path
}

func (s *site) write(dir, name, content string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		s.Fatal(err)
	}
}

func (s *site) holds(dir, name, content string) {
	s.Helper()
	if err := holds(dir, name, content); err != nil {
		s.Error(err)
	}
}

func (s *site) lacks(dir, name string) {
	s.Helper()
	if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
		s.Errorf("%s is there (%v)", name, err)
	}
}

func hostsGetTheirRules(s *site) {
	s.apply("blueprint.yaml")
	s.apply("statefulset.yaml", vars{"Replicas": 3})
	s.running(3)
	s.configReady("sts-web")
	var dirs [3]string
	for i := range dirs {
		dirs[i] = s.claimDir(fmt.Sprintf("data-web-%d", i))
		s.write(dirs[i], "name", fmt.Sprintf("host-%d", i))
	}
	s.backup("sts-web")
	for _, dir := range dirs {
		s.write(dir, "name", "changed")
	}
	s.restore("back", "sts-web", workload("StatefulSet", "web"),
		v1beta1.Rule{TargetHosts: []string{"host-1"}, SourceHost: "host-2", Paths: []string{"/data"}},
		v1beta1.Rule{Paths: []string{"/data"}},
	)
	s.restored("back")
	s.running(3)
	for i, want := range []string{"host-0", "host-2", "host-2"} {
		s.holds(dirs[i], "name", want)
	}
	s.unlocked()

	// One of them alone: the others go on with what they have.
	for _, dir := range dirs {
		s.write(dir, "name", "newer")
	}
	s.restore("one", "sts-web", workload("StatefulSet", "web"), v1beta1.Rule{TargetHosts: []string{"host-1"}, Paths: []string{"/data"}})
	s.restored("one")
	s.running(3)
	for i, want := range []string{"newer", "host-1", "newer"} {
		s.holds(dirs[i], "name", want)
	}
}

func partsOfASnapshot(s *site) {
	s.byHand()
	dir := s.claimDir("web")
	s.write(dir, "keep", "first")
	s.write(dir, "drop", "first")
	first := s.backup("conf")
	s.write(dir, "keep", "second")
	s.backup("conf")

	s.write(dir, "keep", "third")
	s.write(dir, "other", "mine")
	s.write(dir, "drop", "third")
	s.restore("one", "repo", workload("Deployment", "web"), v1beta1.Rule{Snapshots: []string{snapshotOf(first)[:12]}, Include: []string{"/data/keep"}})
	s.restored("one")
	s.holds(dir, "keep", "first")
	s.holds(dir, "drop", "third")
	s.holds(dir, "other", "mine")

	s.restore("two", "repo", workload("Deployment", "web"), v1beta1.Rule{Paths: []string{"/data"}, Exclude: []string{"drop"}})
	s.restored("two")
	s.holds(dir, "keep", "second")
	s.holds(dir, "drop", "third")
	s.holds(dir, "other", "mine")

	s.restore("three", "repo", workload("Deployment", "web"), v1beta1.Rule{Paths: []string{"/data"}, ExistingFiles: v1beta1.ExistingFilesDelete})
	s.restored("three")
	s.holds(dir, "drop", "first")
	s.lacks(dir, "other")
	s.running(1)
	s.unlocked()
}

func nothingToRestore(s *site) {
	s.byHand()
	dir := s.claimDir("web")
	s.write(dir, "precious", "data")
	s.backup("conf")
	before := s.running(1)[0].UID
	for name, c := range map[string]struct {
		rule  v1beta1.Rule
		words []string
	}{
		"no-snapshot": {v1beta1.Rule{Snapshots: []string{"0123456789abcdef"}}, []string{`no snapshot "0123456789abcdef"`}},
		"no-host":     {v1beta1.Rule{SourceHost: "host-7", Paths: []string{"/data"}}, []string{"host-7", "it has hosts host-0"}},
		"no-rule":     {v1beta1.Rule{TargetHosts: []string{"host-7"}, Paths: []string{"/data"}}, []string{"no rule is for host", "host-0"}},
	} {
		s.restore(name, "repo", workload("Deployment", "web"), c.rule)
		s.notRestored(name, c.words...)
		s.happened(name, "RestoreSession Failed")
	}
	s.gate.refuse()
	s.restore("unreachable", "repo", workload("Deployment", "web"), data())
	s.notRestored("unreachable", "connection reset")
	s.gate.heal()
	if after := s.running(1)[0].UID; after != before {
		s.Error("the pod was replaced for nothing")
	}
	s.holds(dir, "precious", "data")
	s.notClosed()
	s.backup("conf")
	s.unlocked()
}

// matchesNothing: only the repository can tell, and it is asked before anything changes.
func matchesNothing(s *site) {
	s.byHand()
	dir := s.claimDir("web")
	s.write(dir, "precious", "data")
	s.backup("conf")
	before := s.running(1)[0].UID
	for name, c := range map[string]struct {
		rule  v1beta1.Rule
		words []string
	}{
		"missing-folder": {v1beta1.Rule{Paths: []string{"/data/missing"}}, []string{`does not hold "/data/missing"`, "precious"}},
		"no-such-files":  {v1beta1.Rule{Paths: []string{"/data"}, Include: []string{"/data/none*"}}, []string{"nothing"}},
	} {
		s.restore(name, "repo", workload("Deployment", "web"), c.rule)
		s.notRestored(name, c.words...)
		s.holds(dir, "precious", "data")
		s.notClosed()
		if after := s.running(1)[0].UID; after != before {
			s.Errorf("%s replaced the pod for nothing", name)
		}
	}
	s.backup("conf")
	s.unlocked()
}

// failsInTheMiddle: that the user may not give files to root is known only in the pod. It waits, since what
// the restore was to bring is missing, until somebody decides.
func failsInTheMiddle(s *site) {
	s.byHand()
	dir := s.claimDir("web")
	s.write(dir, "precious", "data")
	s.backup("conf")
	rs := s.restoreOf("back", "repo", workload("Deployment", "web"), data())
	rs.Spec.RuntimeSettings.Container = &v1beta1.ContainerRuntimeSettings{
		SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64(1000)), RunAsGroup: new(int64(1000))},
	}
	s.create(rs)
	s.notRestored("back", "user 1000 cannot set", `pods of Deployment "web" that were not restored do not start: delete this RestoreSession`)
	s.holds(dir, "precious", "data")
	s.kubectl("delete", "restoresession", "back")
	s.notClosed()
	s.running(1)
	s.backup("conf")
	s.unlocked()
}

// notClosed waits until the namespace is open to all pods.
func (s *site) notClosed() {
	s.Helper()
	s.eventually(soon, "the namespace is open", func(ctx context.Context) error {
		ns := &corev1.Namespace{}
		if err := suite.client.Get(ctx, client.ObjectKey{Name: s.ns}, ns); err != nil {
			return err
		}
		if _, closed := ns.Labels[api.LabelRestoring]; closed {
			return notYet("it is closed")
		}
		return nil
	})
}

func restoredOnce(s *site) {
	s.byHand()
	dir := s.claimDir("web")
	s.write(dir, "file", "old")
	s.backup("conf")
	s.restore("back", "repo", workload("Deployment", "web"), data())
	s.restored("back")
	first := s.running(1)[0]
	if container(&first, api.ContainerRestore) == nil {
		s.Error("the pod that restored has no init-container")
	}
	s.notClosed()
	s.write(dir, "file", "new")
	s.kubectl("delete", "pod", first.Name)
	second := s.another(first)
	if container(&second, api.ContainerRestore) != nil {
		s.Error("a pod after the end still has the init-container")
	}
	s.protected([]corev1.Pod{second})
	s.holds(dir, "file", "new")
	// The label stays on the template, also when nobody knows any more what it was for.
	s.kubectl("delete", "restoresession", "back")
	s.kubectl("delete", "pod", second.Name)
	second = s.another(second)
	s.protected([]corev1.Pod{second})
	s.holds(dir, "file", "new")
	s.kubectl("rollout", "restart", "deployment/web")
	third := s.another(second)
	s.holds(dir, "file", "new")
	if third.Labels[api.LabelRestore] != "" {
		s.Error("the stamp of the restore did not go with the next rollout")
	}
	s.backup("conf")
}

// another waits for the one pod that runs in place of an older one.
func (s *site) another(old corev1.Pod) corev1.Pod {
	s.Helper()
	var found corev1.Pod
	s.eventually(long, "another pod than "+old.Name+" is ready", func(ctx context.Context) error {
		pods, err := s.pods(ctx)
		if err != nil {
			return err
		}
		if len(pods) != 1 || pods[0].UID == old.UID || !isReady(&pods[0]) {
			return notYet("%d pods", len(pods))
		}
		found = pods[0]
		return nil
	})
	return found
}

// neverUnderALivingPod restores a Deployment that starts new pods before it ends old ones, and
// whose pods take their time to end: the old pod writes until its end, and nothing of the restore
// may be in the volume before.
func neverUnderALivingPod(s *site) {
	s.apply("slow-to-end.yaml")
	s.running(1)
	s.configured()
	dir := s.claimDir("web")
	s.write(dir, "file", "old")
	s.backup("conf")
	s.write(dir, "file", "new")
	old := s.running(1)[0]
	s.restore("back", "repo", workload("Deployment", "web"), data())
	s.eventually(long, "the old pod ends, and the volume is untouched until then", func(ctx context.Context) error {
		// First the file: it may change between the two looks only once the pod is gone.
		changed := holds(dir, "file", "new")
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(&old), &corev1.Pod{})
		if err != nil {
			return client.IgnoreNotFound(err)
		}
		if changed != nil {
			return final{fmt.Errorf("the restore ran under the old pod: %w", changed)}
		}
		return notYet("it is there")
	})
	s.restored("back")
	s.running(1)
	s.holds(dir, "file", "old")
	s.lacks(dir, "torn")
	if d := get(s, "web", &appsv1.Deployment{}); d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType {
		s.Errorf("the strategy was changed to %s", d.Spec.Strategy.Type)
	}
}

// unreachableWhileRestoring takes the storage away after the snapshots were chosen.
func unreachableWhileRestoring(s *site) {
	dir, want := s.filled()
	s.backup("conf")
	s.wiped(dir)
	s.gate.slowDown(restorePace)
	rs := s.restoreOf("back", "repo", workload("Deployment", "web"), data())
	// Without it, restic tries for a quarter of an hour.
	rs.Spec.TimeOut = &metav1.Duration{Duration: 90 * time.Second}
	s.create(rs)
	s.restoring("back")
	s.gate.refuse()
	s.notRestored("back", "timeOut")
	pods, err := s.pods(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	for i := range pods {
		if isReady(&pods[i]) {
			s.Error("the application started on half of its data")
		}
	}
	s.gate.heal()
	s.kubectl("delete", "restoresession", "back")
	s.restore("again", "repo", workload("Deployment", "web"), data())
	s.restored("again")
	s.running(1)
	s.same("the volume", want, dir)
	s.unlocked()
}
