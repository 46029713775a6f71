package doctor

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/broker"
)

// agents looks for pods whose agents the broker refuses for their image.
func (d *Doctor) agents(ctx context.Context, s *site) []Finding {
	if s.unread != nil {
		return unread("the operator's image", s.unread)
	}
	var pods []corev1.Pod
	for _, label := range []string{api.LabelInject, api.LabelRestore} {
		list := &corev1.PodList{}
		if err := d.client.List(ctx, list, client.HasLabels{label}); err != nil {
			return unread("the pods with agents", err)
		}
		pods = append(pods, list.Items...)
	}
	return judgeAgents(pods, cmp.Or(s.options.Image, s.image), s.options.TrustedImages)
}

// judgeAgents holds the images of agents against the operator's own and those that it trusts.
func judgeAgents(pods []corev1.Pod, own string, trusted []string) []Finding {
	seen, refused := map[string]bool{}, []string{}
	var why string
	for i := range pods {
		p := &pods[i]
		name := p.Namespace + "/" + p.Name
		image := agentImage(p.Spec)
		if image == "" || seen[name] || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		seen[name] = true
		if text := broker.UntrustedImage(image, own, trusted); text != "" {
			if refused = append(refused, name); why == "" {
				why = text
			}
		}
	}
	if len(refused) > 0 {
		return []Finding{fail("trust the images of before a move, or of a mirror, with --trusted-images of the operator (docs/operations/install.md, Upgrade); or restart the workloads: new pods get the operator's image",
			"agents are refused in %d of %d pods that have one, and back up nothing: %s. Of the first, %s", len(refused), len(seen), some(refused), why)}
	}
	return []Finding{fine("%d pods have agents; their images are the operator's, or trusted", len(seen))}
}

// agentImage is the image of the pod's agent; empty: it has none, and is to get none any more.
func agentImage(spec corev1.PodSpec) string {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range list {
			if c.Name == api.ContainerSidecar || c.Name == api.ContainerRestore {
				return c.Image
			}
		}
	}
	return ""
}
