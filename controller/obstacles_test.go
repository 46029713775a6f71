package controller

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/webhook"
)

// A restore that does not get on says what kubelet, the scheduler or the API server say of its pod.
func TestARestoreSaysWhyItsPodDoesNotStart(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*appsv1.Deployment, *corev1.Pod)
		want   string
	}{
		"its image cannot be pulled": {func(_ *appsv1.Deployment, p *corev1.Pod) {
			p.Spec.NodeName = "n1"
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: api.ContainerRestore, State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: `Back-off pulling image "agent:1"`},
			}}}
		}, `pod "web-1" on node "n1" cannot start: ImagePullBackOff: Back-off pulling image "agent:1"`},
		"no node has room": {func(_ *appsv1.Deployment, p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available"}}
		}, `pod "web-1" cannot start: Unschedulable: 0/3 nodes are available`},
		"a quota refuses it": {func(d *appsv1.Deployment, p *corev1.Pod) {
			p.OwnerReferences = nil // it is not there
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota: small"}}
		}, `no pod of host-0 can be created: exceeded quota: small`},
		"a pod that does not restore is kept out": {func(d *appsv1.Deployment, _ *corev1.Pod) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `RestoreSession "back" restores: ` + webhook.OldRevision}}
		}, "0 of 1 hosts restored"},
		"it was refused before": {func(d *appsv1.Deployment, _ *corev1.Pod) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionFalse, Message: "exceeded quota: small"}}
		}, "0 of 1 hosts restored"},
	} {
		t.Run(name, func(t *testing.T) {
			rs := restoring()
			rs.Spec.Target.Ref.Kind, rs.Spec.Target.Ref.Name, rs.Spec.Target.Rules = "Deployment", "web", []v1beta1.Rule{{Paths: []string{"/data"}}}
			rs.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
			rs.Status.Assignments, rs.Status.Pinned = nil, []v1beta1.PinnedSnapshot{{Hostname: "host-0", ID: "a", Path: "/data"}}
			labels := map[string]string{api.LabelRestore: rs.Status.Hash}
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web", UID: "web"}}
			d.Spec.Template.Labels = labels
			set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web-set", UID: "set", OwnerReferences: controlledBy("Deployment", "web")}}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web-1", UID: "p1", Labels: labels, CreationTimestamp: ago(0), OwnerReferences: controlledBy("ReplicaSet", "set")}}
			pod.Spec.InitContainers = []corev1.Container{{Name: api.ContainerRestore}}
			c.change(d, pod)
			if kept, err := stripPod(pod); err != nil || kept != client.Object(pod) {
				t.Fatalf("%v, %v", kept, err)
			}
			r := &RestoreSessions{
				World: newWorld(t, interceptor.Funcs{}, rs, d, set, pod, repository()),
				Probe: func(context.Context, *v1beta1.RestoreSession) (bool, string, error) { return true, "", nil },
			}
			o, err := r.observe(t.Context(), rs)
			if err != nil {
				t.Fatal(err)
			}
			if a := session.NextRestore(o, noon()); a.Kind != session.KindWait || !strings.HasSuffix(a.Message, c.want) {
				t.Errorf("it says %s: %q, want %q", a.Kind, a.Message, c.want)
			}
		})
	}
}

func controlledBy(kind, uid string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: uid, UID: typesUID(uid), Controller: new(true)}}
}
