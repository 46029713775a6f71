package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
)

// lockAge is when a lock is dead whatever lives: restic refreshes its locks every five minutes, and
// ends when it could not do so for half an hour.
const lockAge = 45 * time.Minute

// hostnameOf is what restic's locks call a holder. Those that were recorded by a build from before it
// was kept are known by their names.
func hostnameOf(h v1alpha1.Holder) string { return cmp.Or(h.Hostname, h.Pod) }

// deadHolders finds the hostnames of the pods that held credentials and are known to have ended. Pods
// share a hostname: those of a StatefulSet one after the other, those of two namespaces, those with a
// node's network. One is dead when all of them are. Of one that lives, before is the time before which
// a lock can be of none that lives.
func (w *World) deadHolders(ctx context.Context, reader client.Reader, repo *v1alpha1.Repository) (dead []string, before map[string]time.Time, err error) {
	before = map[string]time.Time{}
	for _, h := range repo.Status.Holders {
		pod := &corev1.Pod{}
		err := reader.Get(ctx, client.ObjectKey{Namespace: h.Namespace, Name: h.Pod}, pod)
		if client.IgnoreNotFound(err) != nil {
			return nil, nil, fmt.Errorf("read pod: %w", err)
		}
		host := hostnameOf(h)
		if err != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			dead = append(dead, host)
			continue
		}
		// The lock's time and the container's are of one node's clock; a status has whole seconds.
		since := later(w.Now().Add(-lockAge), agentSince(pod))
		if h.Ended != nil && string(pod.UID) == h.UID {
			since = later(since, h.Ended.Time)
		}
		if other, ok := before[host]; !ok || since.Before(other) {
			before[host] = since
		}
	}
	dead = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(dead))), func(host string) bool { return !before[host].IsZero() })
	return dead, before, nil
}

// agentSince is since when the agent of a pod runs; the zero time where that is not known.
func agentSince(pod *corev1.Pod) time.Time {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range list {
			if ours(s.Name) && s.State.Running != nil {
				return s.State.Running.StartedAt.Time
			}
		}
	}
	return time.Time{}
}
