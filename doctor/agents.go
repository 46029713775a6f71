package doctor

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/broker"
)

// agents looks for pods whose agents the broker refuses for their image.
func (d *Doctor) agents(ctx context.Context, s *site) []Finding {
	if s.unread != nil {
		return unread("the operator's image", s.unread)
	}
	found := agents{own: cmp.Or(s.options.Image, s.image), trusted: s.options.TrustedImages}
	// The second leaves out the pods of the first: each is read once.
	for _, selector := range []string{api.LabelInject, api.LabelRestore + ",!" + api.LabelInject} {
		which, err := labels.Parse(selector)
		if err != nil {
			return unread("the pods with agents", err)
		}
		for next := ""; ; {
			list := &corev1.PodList{}
			err := d.client.List(ctx, list, client.MatchingLabelsSelector{Selector: which}, client.Limit(podsAtOnce), client.Continue(next))
			if err != nil {
				return unread("the pods with agents", err)
			}
			found.add(list.Items)
			if next = list.Continue; next == "" {
				break
			}
		}
	}
	return found.judge()
}

// podsAtOnce bounds the pods that are read at a time: the doctor runs in the operator's memory.
const podsAtOnce = 500

// agents holds the images of agents against the operator's own and those that it trusts. Of pods it keeps
// names only.
type agents struct {
	own     string
	trusted []string

	seen    int
	refused []string
	why     string
}

func (a *agents) add(pods []corev1.Pod) {
	for i := range pods {
		p := &pods[i]
		image := agentImage(p.Spec)
		if image == "" || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		a.seen++
		if text := broker.UntrustedImage(image, a.own, a.trusted); text != "" {
			a.refused = append(a.refused, p.Namespace+"/"+p.Name)
			a.why = cmp.Or(a.why, text)
		}
	}
}

func (a *agents) judge() []Finding {
	if len(a.refused) > 0 {
		return []Finding{fail("trust the images of before a move, or of a mirror, with --trusted-images of the operator (docs/operations/install.md, Upgrade); or restart the workloads: new pods get the operator's image",
			"agents are refused in %d of %d pods that have one, and back up nothing: %s. Of the first, %s", len(a.refused), a.seen, some(a.refused), a.why)}
	}
	return []Finding{fine("%d pods have agents; their images are the operator's, or trusted", a.seen)}
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
