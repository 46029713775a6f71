package controller

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker/protocol"
)

// Whose a lock is, is told by its hostname and its time, which restic renews every five minutes.
const (
	// lockAge is when a lock is dead whatever lives: restic ends when it could not renew its lock for
	// half an hour.
	lockAge = 45 * time.Minute
	// clockSkew is how far the clocks of two nodes may be apart.
	clockSkew = 5 * time.Minute
	// lockQuiet is for how long a lock was not renewed that nobody holds any more. It is waited for
	// where a stranger's restic may have the same hostname.
	lockQuiet = 5*time.Minute + clockSkew
)

// holding is a pod that was given credentials, and what is known of it now.
type holding struct {
	v1alpha1.Holder
	// dead tells that it has ended.
	dead bool
	// before is when a dead one had ended. The locks of a living one from before it are of no restic
	// that runs.
	before time.Time
}

// host is what restic's locks call a pod. Those that were recorded by a build from before it was kept
// are known by their names.
func host(h v1alpha1.Holder) string { return cmp.Or(h.Hostname, h.Pod) }

// holdings finds what became of the pods that held credentials. A cache that is behind takes the dead
// for living; that it takes the living for dead, certain rules out.
func (w *World) holdings(ctx context.Context, repo *v1alpha1.Repository, certain bool) ([]holding, error) {
	list := make([]holding, 0, len(repo.Status.Holders))
	for _, h := range repo.Status.Holders {
		if h.Gone != nil {
			list = append(list, holding{h, true, h.Gone.Time})
			continue
		}
		now, err := w.holding(ctx, w.Client, h)
		if err == nil && now.dead && certain {
			now, err = w.holding(ctx, w.Live, h)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, now)
	}
	return list, nil
}

func (w *World) holding(ctx context.Context, reader client.Reader, h v1alpha1.Holder) (holding, error) {
	pod := &corev1.Pod{}
	err := reader.Get(ctx, client.ObjectKey{Namespace: h.Namespace, Name: h.Pod}, pod)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return holding{}, fmt.Errorf("read pod: %w", err)
	case err != nil || terminal(pod):
		return holding{h, true, w.Now()}, nil //nolint:nilerr // absence is an answer
	case string(pod.UID) != h.UID:
		return holding{h, true, pod.CreationTimestamp.Time}, nil // there is a next one of its name
	}
	// The lock's time and the container's are of one node's clock; a status has whole seconds.
	before := later(w.Now().Add(-lockAge), agentSince(pod))
	if h.Ended != nil {
		before = later(before, h.Ended.Time)
	}
	return holding{h, false, before}, nil
}

// deadLocks tells which locks are of pods that have ended, or of a restic that was killed in one that
// lives: those of a hostname from a time at which the pod held credentials. Hostnames repeat, in this
// cluster and in others that use the repository: a lock that may be of a pod that lives is not dead,
// and where a stranger may have the hostname it must not have been renewed for long enough.
func deadLocks(list []holding, now time.Time) []protocol.DeadLocks {
	living := map[string]time.Time{}
	for _, h := range list {
		if h.dead {
			continue
		}
		before := later(h.before, h.from())
		if other, ok := living[host(h.Holder)]; !ok || before.Before(other) {
			living[host(h.Holder)] = before
		}
	}
	var out []protocol.DeadLocks
	for _, h := range list {
		d := protocol.DeadLocks{Hostname: host(h.Holder), From: h.from(), Before: h.before}
		if h.dead {
			d.Before = d.Before.Add(clockSkew)
		}
		if other, ok := living[d.Hostname]; ok {
			d.Before = earlier(d.Before, other)
		}
		if !h.Unique {
			d.Before = earlier(d.Before, now.Add(-lockQuiet))
		}
		if d.From.Before(d.Before) {
			out = append(out, d)
		}
	}
	return out
}

// from is when the first lock of a holder can be from; zero where an older build recorded it.
func (h holding) from() time.Time {
	if h.Since == nil {
		return time.Time{}
	}
	return h.Since.Add(-clockSkew)
}

// deadHosts tells of hostnames that no living pod has, since when their locks can be told to be dead.
// That a pod is gone is noted when locks are looked at, and so that is done first.
func deadHosts(list []holding, now time.Time) map[string]time.Time {
	dead, living := map[string]time.Time{}, map[string]bool{}
	for _, h := range list {
		known := now
		switch {
		case h.Gone != nil && h.Unique:
			known = h.Gone.Time
		case h.Gone != nil:
			known = h.Gone.Add(lockQuiet)
		}
		name := host(h.Holder)
		living[name] = living[name] || !h.dead
		dead[name] = later(dead[name], known)
	}
	for name, lives := range living {
		if lives {
			delete(dead, name)
		}
	}
	return dead
}

// lookAtLocks tells a worker which locks are dead, and notes which pods are, and that locks were looked
// at with that knowledge.
func (g *Agents) lookAtLocks(ctx context.Context, repo *v1alpha1.Repository) ([]protocol.DeadLocks, error) {
	list, err := g.holdings(ctx, repo, true)
	if err != nil {
		return nil, err
	}
	now := metav1.NewTime(g.Now())
	err = updateStatus(ctx, g.World, client.ObjectKeyFromObject(repo), &v1alpha1.Repository{}, func(live *v1alpha1.Repository) (bool, error) {
		noteGone(live.Status.Holders, list)
		live.Status.LastUnlockTime = &now
		return true, nil
	})
	return deadLocks(list, now.Time), err
}

// noteGone notes which holders are dead: that is true for ever, and what keeps their number bounded.
func noteGone(holders []v1alpha1.Holder, list []holding) {
	gone := map[string]metav1.Time{}
	for _, h := range list {
		if h.dead {
			gone[h.UID] = metav1.NewTime(h.before)
		}
	}
	for i := range holders {
		if at, ok := gone[holders[i].UID]; ok && holders[i].Gone == nil {
			holders[i].Gone = &at
		}
	}
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

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
