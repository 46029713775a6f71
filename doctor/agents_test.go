package doctor

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
)

// held judges pods that came in one page.
func held(pods []corev1.Pod, own string, trusted ...string) []Finding {
	a := agents{own: own, trusted: trusted}
	a.add(pods)
	return a.judge()
}

// pages gives one pod at a time, and counts how often it is asked for more than it may be.
type pages struct {
	client.Client
	unbounded int
}

func (p *pages) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o := (&client.ListOptions{}).ApplyOptions(opts)
	pods, is := list.(*corev1.PodList)
	if !is || o.Limit != podsAtOnce {
		p.unbounded++
		return nil
	}
	name, next := map[string]string{"": "a", "1": "b", "2": "c"}[o.Continue], map[string]string{"": "1", "1": "2"}[o.Continue]
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{api.LabelInject: "x"}}}
	pod.Spec.Containers = []corev1.Container{{Name: api.ContainerSidecar, Image: "stash:v1"}}
	if !o.LabelSelector.Matches(labels.Set(pod.Labels)) {
		return nil
	}
	pods.Items, pods.Continue = []corev1.Pod{pod}, next
	return nil
}

// A cluster has more pods with agents than fit into the operator's memory.
func TestAgentsAreReadByPages(t *testing.T) {
	p := &pages{}
	d := &Doctor{client: p}
	s := &site{image: "stash:v1"}
	got := d.agents(t.Context(), s)
	if len(got) != 1 || got[0].Status != OK || p.unbounded > 0 || got[0].Seen != "3 pods have agents; their images are the operator's, or trusted" {
		t.Errorf("%+v, %d lists without bound", got, p.unbounded)
	}
}
