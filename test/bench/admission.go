package main

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
)

// Added latency of a pod's creation, at the API server, against no webhook.
const (
	addedMedian = time.Millisecond
	addedP99    = 5 * time.Millisecond
	// warmUp pairs fill caches and open connections.
	warmUp = 200
)

// addedLatency creates pods by turns: of a protected workload, which the hook completes, and the same
// without the label that calls it. All are dry runs: they go through the whole of admission, and what
// etcd would add to both is left out.
func addedLatency(ctx context.Context, s *site, t *target, r *report) error {
	owner := metav1.GetControllerOf(t.pod)
	rs := &appsv1.ReplicaSet{}
	if err := t.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: owner.Name}, rs); err != nil {
		return fmt.Errorf("read ReplicaSet: %w", err)
	}
	var with, without []time.Duration
	for i := range s.pods + warmUp {
		hooked, err := t.created(ctx, rs, true)
		if err != nil {
			return err
		}
		plain, err := t.created(ctx, rs, false)
		if err != nil {
			return err
		}
		if i >= warmUp {
			with, without = append(with, hooked), append(without, plain)
		}
	}
	s.logf("%d pods with the hook and %d without", len(with), len(without))
	p50 := median(with) - median(without)
	p99 := quantile(with, 0.99) - quantile(without, 0.99)
	r.budget("added latency per pod create, at the API server", "p50 ≤ 1 ms, p99 ≤ 5 ms",
		"p50 "+fine(p50)+", p99 "+fine(p99), p50 <= addedMedian && p99 <= addedP99)
	detail := table{title: fmt.Sprintf("Pod creations: %d each, one at a time, by turns", len(with)), head: []string{"", "median", "p95", "p99", "longest"}}
	for _, row := range []struct {
		what  string
		times []time.Duration
	}{{"completed by the hook", with}, {"no webhook asked", without}} {
		detail.rows = append(detail.rows, []string{
			row.what, fine(median(row.times)), fine(quantile(row.times, 0.95)), fine(quantile(row.times, 0.99)), fine(quantile(row.times, 1)),
		})
	}
	r.detail(detail)
	return nil
}

// created creates a pod of the target and returns how long that took.
func (t *target) created(ctx context.Context, rs *appsv1.ReplicaSet, hooked bool) (time.Duration, error) {
	labels := map[string]string{"app": t.name}
	if hooked {
		labels = rs.Spec.Template.Labels
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: rs.Name + "-", Labels: labels, OwnerReferences: t.pod.OwnerReferences},
		Spec:       *rs.Spec.Template.Spec.DeepCopy(),
	}
	begin := time.Now()
	err := t.client.Create(ctx, pod, client.DryRunAll)
	took := time.Since(begin)
	if err != nil {
		return 0, fmt.Errorf("create pod: %w", err)
	}
	if has := len(pod.Spec.InitContainers) > 0 && pod.Spec.InitContainers[0].Name == api.ContainerSidecar; has != hooked {
		return 0, fmt.Errorf("a pod has the sidecar: %t; it should: %t", has, hooked)
	}
	return took, nil
}

func fine(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
