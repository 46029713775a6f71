package e2e_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operatorNS is where deploy/ installs the operator.
const operatorNS = "stash"

// leader returns the name of the replica that leads.
func (s *site) leader(ctx context.Context) (string, error) {
	lease := &coordinationv1.Lease{}
	if err := suite.client.Get(ctx, client.ObjectKey{Namespace: operatorNS, Name: "stash-operator"}, lease); err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return "", notYet("nobody leads")
	}
	pod, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return pod, nil
}

// killLeader ends the replica that leads without a chance to say so, and waits for another one.
func (s *site) killLeader() {
	s.Helper()
	old, err := s.leader(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	if _, err := suite.kubectl.Run(s.Context(), "", "delete", "pod", old, "--namespace="+operatorNS, "--grace-period=0", "--force"); err != nil {
		s.Fatal(err)
	}
	s.eventually(long, "another replica leads", func(ctx context.Context) error {
		now, err := s.leader(ctx)
		if err == nil && now == old {
			err = notYet("%s does", old)
		}
		return err
	})
	s.Cleanup(s.operatorReady)
}

// scaleOperator sets the number of replicas and waits until there are so many.
func (s *site) scaleOperator(n int32) {
	s.Helper()
	d := &appsv1.Deployment{}
	if err := suite.client.Get(s.Context(), client.ObjectKey{Namespace: operatorNS, Name: "stash-operator"}, d); err != nil {
		s.Fatal(err)
	}
	d.Spec.Replicas = &n
	if err := suite.client.Update(s.Context(), d); err != nil {
		s.Fatal(err)
	}
	if n == 0 {
		s.eventually(long, "the operator is gone", func(ctx context.Context) error {
			pods := &corev1.PodList{}
			if err := suite.client.List(ctx, pods, client.InNamespace(operatorNS)); err != nil {
				return err
			}
			if len(pods.Items) > 0 {
				return notYet("%d pods", len(pods.Items))
			}
			return nil
		})
		return
	}
	s.operatorReady()
}

// withoutOperator runs something while no replica is there.
func (s *site) withoutOperator(do func()) {
	s.Helper()
	s.scaleOperator(0)
	back := false
	defer func() {
		if !back { // the test ends here: the next one needs the operator
			s.scaleOperator(2)
		}
	}()
	do()
	back = true
	s.scaleOperator(2)
}

// operatorReady waits until all replicas are ready and answer, and until those that they replace,
// which answer while they drain, are gone. It works in a test's Cleanup, too.
func (s *site) operatorReady() {
	s.Helper()
	ctx := context.WithoutCancel(s.Context())
	if out, err := suite.kubectl.Run(ctx, "", "rollout", "status", "--namespace="+operatorNS, "--timeout=120s", "deployment/stash-operator"); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	if err := olderReplicasGone(ctx); err != nil {
		s.Fatal(err)
	}
}

// olderReplicasGone waits for the end of replicas that were told to end. One whose node has no power
// stays until that comes back, and answers nobody.
func olderReplicasGone(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 300*time.Millisecond, soon, true, func(ctx context.Context) (bool, error) {
		pods := &corev1.PodList{}
		if err := suite.client.List(ctx, pods, client.InNamespace(operatorNS)); err != nil {
			return false, nil //nolint:nilerr // asked again
		}
		return !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool {
			return p.DeletionTimestamp != nil && suite.cluster.Powered(p.Spec.NodeName)
		}), nil
	})
}

// lastCut is when a node lost its power last.
var lastCut atomic.Int64

// again does something, and does it again while the API server says that no webhook answered, if a node
// lost its power lately. The API server keeps HTTP/1.1 connections to a replica that was there; each of
// them costs a request its timeout before it is given up. Whoever writes then writes again: kubectl's
// user, a GitOps controller, our own.
func again(ctx context.Context, do func() error) error {
	const forgotten = 3 * time.Minute
	for {
		err := do()
		lately := time.Since(time.Unix(0, lastCut.Load())) < forgotten
		if err == nil || !lately || !strings.Contains(err.Error(), "failed calling webhook") || ctx.Err() != nil {
			return err
		}
	}
}

// powerCut takes a node's power away; the test's end gives it back.
func (s *site) powerCut(node string) {
	s.Helper()
	s.Cleanup(func() { s.powerBack(node) })
	lastCut.Store(time.Now().UnixNano())
	if err := suite.cluster.PowerOff(s.Context(), node); err != nil {
		s.Fatal(err)
	}
}

// powerBack gives a node its power again and waits until it is ready.
func (s *site) powerBack(node string) {
	s.Helper()
	ctx := context.WithoutCancel(s.Context())
	on := time.Now().Truncate(time.Second)
	wasOff := !suite.cluster.Powered(node)
	if err := suite.cluster.PowerOn(ctx, node); err != nil {
		s.Fatal(err)
	}
	if err := suite.cluster.WaitReady(ctx); err != nil {
		s.Fatal(err)
	}
	if wasOff {
		if err := replicasBooted(ctx, node, on); err != nil {
			s.Fatal(err)
		}
	}
	s.operatorReady()
}

// replicasBooted waits until the replicas on a node that got its power back run again: until its
// kubelet says otherwise they pass for ready, and requests to them are lost.
func replicasBooted(ctx context.Context, node string, on time.Time) error {
	return wait.PollUntilContextTimeout(ctx, 300*time.Millisecond, long, true, func(ctx context.Context) (bool, error) {
		pods := &corev1.PodList{}
		if err := suite.client.List(ctx, pods, client.InNamespace(operatorNS)); err != nil {
			return false, nil //nolint:nilerr // asked again
		}
		return !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool {
			return p.Spec.NodeName == node && !slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
				return c.Ready && c.State.Running != nil && !c.State.Running.StartedAt.Time.Before(on)
			})
		}), nil
	})
}
