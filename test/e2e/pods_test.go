package e2e_test

import (
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
)

// pods returns the living pods of the test's application, by name.
func (s *site) pods(ctx context.Context) ([]corev1.Pod, error) {
	all := &corev1.PodList{}
	if err := suite.client.List(ctx, all, client.InNamespace(s.ns), client.HasLabels{"app"}); err != nil {
		return nil, err
	}
	living := slices.DeleteFunc(all.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	slices.SortFunc(living, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return living, nil
}

// running waits until the application has exactly n pods, all of them ready, and returns them.
func (s *site) running(n int) []corev1.Pod {
	s.Helper()
	var found []corev1.Pod
	s.eventually(long, "pods are ready", func(ctx context.Context) (err error) {
		if found, err = s.pods(ctx); err != nil {
			return err
		}
		if len(found) != n {
			return notYet("%d of %d pods", len(found), n)
		}
		for i := range found {
			if !isReady(&found[i]) {
				return notYet("pod %s is %s: %s", found[i].Name, found[i].Status.Phase, waiting(&found[i]))
			}
		}
		return nil
	})
	return found
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// waiting says what a pod's containers wait for.
func waiting(p *corev1.Pod) string {
	var out []string
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		switch {
		case c.State.Waiting != nil:
			out = append(out, c.Name+" waits: "+c.State.Waiting.Reason+" "+c.State.Waiting.Message)
		case c.State.Running != nil && !c.Ready:
			out = append(out, c.Name+" runs")
		case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
			out = append(out, c.Name+" ended: "+c.State.Terminated.Reason+" "+c.State.Terminated.Message)
		}
	}
	return strings.Join(out, ", ")
}

// container finds one of a pod's containers, also among those that start first.
func container(p *corev1.Pod, name string) *corev1.Container {
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		if c.Name == name {
			return &c
		}
	}
	return nil
}

// protected fails the test unless every pod has the sidecar, as a native one.
func (s *site) protected(pods []corev1.Pod) {
	s.Helper()
	for i := range pods {
		c := container(&pods[i], api.ContainerSidecar)
		if c == nil {
			s.Fatalf("pod %s has no sidecar", pods[i].Name)
		}
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			s.Errorf("the sidecar of pod %s is not a native one", pods[i].Name)
		}
	}
}

// revisions counts the revisions that the pod template of the application has had.
func (s *site) revisions() int {
	s.Helper()
	return len(list(s, &appsv1.ReplicaSetList{}).Items) + len(list(s, &appsv1.ControllerRevisionList{}).Items)
}

// exec runs a command in the application's container.
func (s *site) exec(pod string, args ...string) string {
	s.Helper()
	return s.kubectl(append([]string{"exec", pod, "--container=app", "--"}, args...)...)
}
