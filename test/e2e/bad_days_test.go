package e2e_test

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// badDays break what all share, so they run one after the other.
func badDays() []scenario {
	return []scenario{
		{"the leader dies during a backup", leaderDiesInBackup},
		{"the leader dies during a restore", leaderDiesInRestore},
		{"the operator is rolled during a backup and a restore", operatorRolls},
		{"the operator is gone while restic runs, and the result counts", resultComesLater},
		{"a result that was lost with its pod is found by its tag", resultIsFound},
		{"a pod under restore waits while the operator is gone", restoreWaits},
		{"a workload that was stored while the operator was gone is expanded and stamped later", storedMeanwhile},
		{"of the ticks that were missed exactly one is caught up", oneCatchUp},
		{"a node loses its power during a backup", powerCutInBackup},
		{"a node loses its power during a restore", powerCutInRestore},
		{"a node that reboots after a restore does not restore again", rebootAfterRestore},
		{"where kubelets are old, the sidecar is an ordinary container", classicSidecar},
		{"where the image moves to another name, old agents are refused until it is trusted", imageMoves},
	}
}

func leaderDiesInBackup(s *site) {
	s.filled()
	name, _ := s.slowBackup()
	s.killLeader()
	s.gate.heal()
	s.backupIsWhole(s.succeeded(name), "host-0")
	s.onlySnapshots(1)
	s.unlocked()
	s.healthy("repo")
}

// onlySnapshots fails the test unless the repository holds that many.
func (s *site) onlySnapshots(n int) {
	s.Helper()
	if all := s.snapshots("repo"); len(all) != n {
		s.Errorf("%d snapshots, not %d: %+v", len(all), n, all)
	}
}

// slowRestore begins a restore that is in its middle when it returns.
func (s *site) slowRestore(dir string) (pod string) {
	s.Helper()
	s.backup("conf")
	s.wiped(dir)
	s.gate.slowDown(restorePace)
	s.restore("back", "repo", workload("Deployment", "web"), data())
	return s.restoring("back")
}

// cameBack waits for the end of that restore and compares.
func (s *site) cameBack(want tree, dir string) {
	s.Helper()
	s.restored("back")
	s.running(1)
	s.same("the volume", want, dir)
	s.notClosed()
}

// goesOn takes another backup: retention after it waits for nobody's lock.
func (s *site) goesOn() {
	s.Helper()
	s.kept(s.backup("conf"))
	s.unlocked()
	s.healthy("repo")
}

func leaderDiesInRestore(s *site) {
	dir, want := s.filled()
	s.slowRestore(dir)
	s.killLeader()
	s.gate.heal()
	s.cameBack(want, dir)
	s.goesOn()
}

func operatorRolls(s *site) {
	dir, want := s.filled()
	name, _ := s.slowBackup()
	s.rollOperator()
	s.gate.heal()
	s.succeeded(name)
	s.wiped(dir)
	s.gate.slowDown(restorePace)
	s.restore("back", "repo", workload("Deployment", "web"), data())
	s.restoring("back")
	s.rollOperator()
	s.gate.heal()
	s.cameBack(want, dir)
	s.goesOn()
}

func (s *site) rollOperator() {
	s.Helper()
	if _, err := suite.kubectl.Run(s.Context(), "", "rollout", "restart", "--namespace="+operatorNS, "deployment/stash-operator"); err != nil {
		s.Fatal(err)
	}
	s.operatorReady()
}

// snapshotAppears waits until restic has finished a backup, as the storage sees it.
func (s *site) snapshotAppears() {
	s.Helper()
	s.eventually(long, "restic has written its snapshot", func(context.Context) error {
		keys, err := suite.cluster.Storage().Objects(s.bucket, "repo/snapshots/")
		if err == nil && len(keys) == 0 {
			err = notYet("none")
		}
		return err
	})
	// restic removes its lock last.
	s.unlocked()
}

func resultComesLater(s *site) {
	s.filled()
	name, pod := s.slowBackup()
	s.withoutOperator(func() {
		s.gate.heal()
		s.snapshotAppears()
	})
	bs := s.succeeded(name)
	if h := bs.Status.Targets[0].Stats[0]; h.Pod != pod || h.Adopted {
		s.Errorf("the result is not the agent's own: %+v", h)
	}
	s.onlySnapshots(1)
}

func resultIsFound(s *site) {
	s.filled()
	name, pod := s.slowBackup()
	s.withoutOperator(func() {
		s.gate.heal()
		s.snapshotAppears()
		s.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
		s.running(1)
	})
	bs := s.succeeded(name)
	if h := bs.Status.Targets[0].Stats[0]; !h.Adopted || len(h.Snapshots) != 1 {
		s.Errorf("the result was not adopted: %+v", h)
	}
	s.onlySnapshots(1)
	s.unlocked()
}

func restoreWaits(s *site) {
	dir, want := s.filled()
	pod := s.slowRestore(dir)
	s.withoutOperator(func() {
		s.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
		s.never(soon/4, "a pod of the target is ready", func(ctx context.Context) error {
			pods, err := s.pods(ctx)
			if err != nil {
				return err
			}
			for i := range pods {
				if isReady(&pods[i]) {
					return nil
				}
			}
			return notYet("%d pods", len(pods))
		})
	})
	s.gate.heal()
	s.cameBack(want, dir)
	s.goesOn()
}

func storedMeanwhile(s *site) {
	s.apply("blueprint.yaml")
	var first corev1.Pod
	s.withoutOperator(func() {
		s.apply("deployment.yaml")
		first = s.running(1)[0]
		if container(&first, api.ContainerSidecar) != nil {
			s.Fatal("the pod has a sidecar already")
		}
	})
	s.configReady("deploy-web")
	second := s.another(first)
	s.protected([]corev1.Pod{second})
	s.backup("deploy-web")
}

func powerCutInBackup(s *site) {
	s.filled()
	name, pod := s.slowBackup()
	node := get(s, pod, &corev1.Pod{}).Spec.NodeName
	s.powerCut(node)
	s.gate.heal()
	bs := s.failed(name, pod, node)
	s.Logf("the session says: %s", bs.Status.Reason)
	s.powerBack(node)
	s.running(1)
	s.goesOn()
}

func powerCutInRestore(s *site) {
	dir, want := s.filled()
	pod := s.slowRestore(dir)
	node := get(s, pod, &corev1.Pod{}).Spec.NodeName
	s.powerCut(node)
	s.gate.heal()
	if err := suite.cluster.WaitNode(s.Context(), node, false); err != nil {
		s.Fatal(err)
	}
	if rs := get(s, "back", &v1beta1.RestoreSession{}); rs.Status.Phase != v1beta1.RestoreRunning {
		s.Errorf("the restore is %s: %s", rs.Status.Phase, rs.Status.Reason)
	}
	s.powerBack(node)
	s.cameBack(want, dir)
	s.goesOn()
}

func rebootAfterRestore(s *site) {
	dir, want := s.filled()
	s.backup("conf")
	s.wiped(dir)
	s.restore("back", "repo", workload("Deployment", "web"), data())
	s.cameBack(want, dir)
	before := s.running(1)[0]
	s.write(dir, "after", "the restore")
	s.write(dir, "bulk", "changed")
	s.powerCut(before.Spec.NodeName)
	if err := suite.cluster.WaitNode(s.Context(), before.Spec.NodeName, false); err != nil {
		s.Fatal(err)
	}
	s.powerBack(before.Spec.NodeName)
	s.eventually(long, "the pod runs again after the boot", func(ctx context.Context) error {
		pod := &corev1.Pod{}
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(&before), pod); err != nil {
			return err
		}
		for _, c := range pod.Status.ContainerStatuses {
			if c.Name == "app" && c.RestartCount > 0 && isReady(pod) {
				return nil
			}
		}
		return notYet("%s", waiting(pod))
	})
	s.holds(dir, "after", "the restore")
	s.holds(dir, "bulk", "changed")
	s.goesOn()
}

func classicSidecar(s *site) {
	if err := applyStash(s.Context(), "--native-sidecars=never"); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := applyStash(context.WithoutCancel(s.Context())); err != nil {
			s.Error(err)
		}
		s.operatorReady()
	})
	s.operatorReady()
	s.apply("blueprint.yaml")
	s.hooksAnswer()
	s.apply("deployment.yaml")
	pod := s.running(1)[0]
	if len(pod.Spec.InitContainers) != 0 || len(pod.Spec.Containers) != 2 {
		s.Errorf("%d init-containers, %d containers", len(pod.Spec.InitContainers), len(pod.Spec.Containers))
	}
	s.configReady("deploy-web")
	dir := s.claimDir("web")
	want := s.planted(dir, 1)
	s.backupIsWhole(s.backup("deploy-web"), "host-0")
	s.wiped(dir)
	s.restore("back", "deploy-web", workload("Deployment", "web"), data())
	s.cameBack(want, dir)
}

// hooksAnswer waits until annotated workloads are stamped each time. The API server may still hold connections to
// a replica whose node lost its power in the test before: each costs one request the hook's time, and it goes
// on without.
func (s *site) hooksAnswer() {
	s.Helper()
	inARow := 0
	s.eventually(longest, "annotated workloads are stamped", func(ctx context.Context) error {
		out, err := suite.kubectl.Run(ctx, s.render("deployment.yaml"), "apply", "--namespace="+s.ns, "--dry-run=server", "--output=yaml", "--filename=-")
		if inARow++; err != nil || !strings.Contains(out, api.LabelInject) {
			inARow = 0
		}
		if inARow < 5 {
			return notYet("%d times in a row: %v", inARow, err)
		}
		return nil
	})
}
