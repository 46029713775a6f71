package controller

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/session"
)

// terminal tells whether a pod's processes have ended for good.
func terminal(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// view is viewPod, with what the broker has against the agent.
func (o Options) view(p *corev1.Pod, container string) session.Pod {
	v := viewPod(p, container)
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			if list[i].Name == container {
				v.Refused = broker.UntrustedImage(list[i].Image, o.Image, o.TrustedImages)
			}
		}
	}
	return v
}

// viewPod sums a pod up for sessions. The container is the name of our agent's.
func viewPod(p *corev1.Pod, container string) session.Pod {
	v := session.Pod{
		Name: p.Name, UID: string(p.UID), Node: p.Spec.NodeName, Created: p.CreationTimestamp.Time,
		Dead:  terminal(p),
		Stamp: p.Labels[api.LabelRestore],
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			v.Ready = c.Status == corev1.ConditionTrue
		}
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			v.Waiting = strings.TrimSuffix(c.Reason+": "+shorten(c.Message), ": ")
		}
	}
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for _, c := range list {
			v.Injected = v.Injected || c.Name == container
		}
	}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, s := range list {
			if s.Name == container {
				v.Agent = s.State.Running != nil
				v.Ended = ended(s)
				v.Waiting = cmp.Or(notStarting(s), v.Waiting)
			}
		}
	}
	if p.DeletionTimestamp != nil {
		v.Ready, v.Ending, v.Ends = false, true, p.DeletionTimestamp.Time
	}
	return v
}

// ended says how a container ended last, in kubelet's words.
func ended(s corev1.ContainerStatus) string {
	t := s.State.Terminated
	if t == nil {
		t = s.LastTerminationState.Terminated
	}
	switch {
	case t == nil:
		return ""
	case t.Reason == "OOMKilled":
		return t.Reason
	}
	return fmt.Sprintf("%s (exit code %d)", t.Reason, t.ExitCode)
}
