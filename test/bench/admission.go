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
	// warmUp pods of each variant fill caches and open connections.
	warmUp = 200
)

// variant is a pod to create. A pod that is complete already is asked about and answered without a patch,
// so that what asking costs and what the API server's work on the patch costs are told apart.
type variant struct {
	what     string
	labelled bool // the label calls the hook
	complete bool // the sidecar is there already
	times    []time.Duration
}

// addedLatency creates pods by turns: of a protected workload, which the hook completes, and the same
// without the label that calls it; then both as they are when completed. All are dry runs: they go
// through the whole of admission, and what etcd would add to each is left out.
func addedLatency(ctx context.Context, s *site, t *target, r *report) error {
	owner := metav1.GetControllerOf(t.pod)
	rs := &appsv1.ReplicaSet{}
	if err := t.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: owner.Name}, rs); err != nil {
		return fmt.Errorf("read ReplicaSet: %w", err)
	}
	hooked := &variant{what: "completed by the hook", labelled: true}
	plain := &variant{what: "no webhook asked"}
	asked := &variant{what: "complete already, the hook asked", labelled: true, complete: true}
	complete := &variant{what: "complete already, no webhook asked", complete: true}
	all := []*variant{hooked, plain, asked, complete}
	_, whole, err := t.created(ctx, t.newPod(rs, hooked, nil), true)
	if err != nil {
		return err
	}
	for i := range s.pods + warmUp {
		for _, v := range all {
			took, _, err := t.created(ctx, t.newPod(rs, v, whole), v.labelled || v.complete)
			if err != nil {
				return err
			}
			if i >= warmUp {
				v.times = append(v.times, took)
			}
		}
	}
	s.logf("%d pods of each of %d variants", s.pods, len(all))
	p50 := median(hooked.times) - median(plain.times)
	p99 := quantile(hooked.times, 0.99) - quantile(plain.times, 0.99)
	r.budget("added latency per pod create, at the API server", "p50 ≤ 1 ms, p99 ≤ 5 ms",
		"p50 "+fine(p50)+", p99 "+fine(p99), p50 <= addedMedian && p99 <= addedP99)
	detail := table{title: fmt.Sprintf("Pod creations: %d each, one at a time, by turns", s.pods), head: []string{"", "median", "p95", "p99", "longest"}}
	for _, v := range all {
		detail.rows = append(detail.rows, []string{
			v.what, fine(median(v.times)), fine(quantile(v.times, 0.95)), fine(quantile(v.times, 0.99)), fine(quantile(v.times, 1)),
		})
	}
	r.detail(detail)
	asking := median(asked.times) - median(complete.times)
	larger := median(complete.times) - median(plain.times)
	r.detail(table{title: "Where the added median goes", head: []string{"", ""}, rows: [][]string{
		{"asking a webhook that answers without a patch", fine(asking)},
		{"the pod is larger: one more container, three more volumes", fine(larger)},
		{"the API server applies the patch", fine(p50 - asking - larger)},
	}})
	return nil
}

// newPod makes the pod of a variant; whole is the completed one.
func (t *target) newPod(rs *appsv1.ReplicaSet, v *variant, whole *corev1.Pod) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, GenerateName: rs.Name + "-", Labels: map[string]string{"app": t.name}, OwnerReferences: t.pod.OwnerReferences,
		},
		Spec: *rs.Spec.Template.Spec.DeepCopy(),
	}
	if v.labelled {
		pod.Labels = rs.Spec.Template.Labels
	}
	if v.complete {
		pod.Spec = *whole.Spec.DeepCopy()
	}
	return pod
}

// created creates a pod and returns how long that took, and the pod as it was answered.
func (t *target) created(ctx context.Context, pod *corev1.Pod, sidecar bool) (time.Duration, *corev1.Pod, error) {
	begin := time.Now()
	err := t.client.Create(ctx, pod, client.DryRunAll)
	took := time.Since(begin)
	if err != nil {
		return 0, nil, fmt.Errorf("create pod: %w", err)
	}
	if has := len(pod.Spec.InitContainers) > 0 && pod.Spec.InitContainers[0].Name == api.ContainerSidecar; has != sidecar {
		return 0, nil, fmt.Errorf("a pod has the sidecar: %t; it should: %t", has, sidecar)
	}
	return took, pod, nil
}

func fine(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
