package doctor

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/certs"
)

func operatorPod(name, digest string, change func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "mesh", Args: []string{"proxy"}}, {Name: container, Args: []string{"run"}}}},
		Status: corev1.PodStatus{
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "mesh", ImageID: "mesh@" + name}, {Name: container, ImageID: "registry.example/stash@" + digest}},
		},
	}
	if change != nil {
		change(&p)
	}
	return p
}

// scaled is the operator's Deployment, with what keeps its pods from being created.
func scaled(replicas int32, trouble string) []appsv1.Deployment {
	d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "stash-operator"}, Spec: appsv1.DeploymentSpec{Replicas: &replicas}}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: container, Image: "stash:v1", Args: []string{"run", "--trusted-images=old"}}}
	if trouble != "" {
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: trouble}}
	}
	return []appsv1.Deployment{d}
}

// agentsOf are pods with sidecars of these images.
func agentsOf(images ...string) []corev1.Pod {
	var out []corev1.Pod
	for i, image := range images {
		out = append(out, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("db-%d", i)},
			Spec:       corev1.PodSpec{InitContainers: []corev1.Container{{Name: api.ContainerSidecar, Image: image}}},
		})
	}
	return out
}

// Without a pod the arguments are those that its Deployment would start it with.
func TestTheArgumentsOfAnOperatorWithoutPodsAreKnown(t *testing.T) {
	d := &Doctor{Parse: func(args []string) (Options, error) { return Options{TrustedImages: args}, nil }}
	image, o, err := d.started(nil, scaled(0, ""))
	if err != nil || image != "stash:v1" || !slices.Equal(o.TrustedImages, []string{"run", "--trusted-images=old"}) {
		t.Error(image, o, err)
	}
	if _, _, err := d.started(nil, nil); !errors.Is(err, errNoOperator) {
		t.Error(err)
	}
}

func aboutReplicas(*testing.T) []judged {
	unready := func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }
	good := []corev1.Pod{operatorPod("a", "sha256:1", nil), operatorPod("b", "sha256:1", nil)}
	lease := func(holder string, silent time.Duration) *coordinationv1.Lease {
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &holder, LeaseDurationSeconds: new(int32(15)), RenewTime: &metav1.MicroTime{Time: today().Add(-silent)},
		}}
	}
	return []judged{
		{"replicas: two of one build are ready", OK, judgeReplicas("stash", 2, good)},
		{"replicas: there is none", Failure, judgeReplicas("stash", 2, nil)},
		{"replicas: none is ready", Failure, judgeReplicas("stash", 2, []corev1.Pod{operatorPod("a", "sha256:1", unready)})},
		{"replicas: one is not ready", Warning, judgeReplicas("stash", 2, []corev1.Pod{good[0], operatorPod("b", "sha256:1", unready)})},
		{"replicas: one is wanted", Warning, judgeReplicas("stash", 1, good[:1])},
		{"replicas: they are of different builds", Warning, judgeReplicas("stash", 2, []corev1.Pod{good[0], operatorPod("b", "sha256:2", nil)})},
		{"replicas: they have different arguments", Warning, judgeReplicas("stash", 2, []corev1.Pod{good[0], operatorPod("b", "sha256:1", func(p *corev1.Pod) {
			p.Spec.Containers[1].Args = []string{"run", "--max-rollouts=1"}
		})})},
		{"replicas: one ran out of memory", Warning, judgeReplicas("stash", 2, []corev1.Pod{good[0], operatorPod("b", "sha256:1", func(p *corev1.Pod) {
			p.Status.ContainerStatuses[1].RestartCount = 3
			p.Status.ContainerStatuses[1].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
		})})},
		{"replicas: it is scaled to none", Failure, one(judgeNone("stash", scaled(0, "")))},
		{"replicas: its pods cannot be created", Failure, one(judgeNone("stash", scaled(2, `pods "stash-operator-7d9f" is forbidden: exceeded quota: none`)))},
		{"replicas: there is no pod so far", Failure, one(judgeNone("stash", scaled(2, "")))},
		{"replicas: there is no Deployment", Failure, one(judgeNone("stash", nil))},
		{"agents: their image is the operator's", OK, held(agentsOf("stash:v1", "stash:v2"), "stash:v3")},
		{"agents: those of before a move", Failure, held(agentsOf("stash:v1", "registry.example/stash:v2"), "registry.example/stash:v2")},
		{"agents: those of before a move are trusted", OK, held(agentsOf("stash:v1", "registry.example/stash:v2"), "registry.example/stash:v2", "stash")},
		{"certificates: their Secret is missing", Failure, unread("the serving certificate", fmt.Errorf("read Secret: %w", apierrors.NewNotFound(corev1.Resource("secrets"), certs.SecretName)))},
		{"settings: there is no operator", Failure, unread("the operator's arguments", errNoOperator)},
		{"leader: one leads", OK, one(judgeLeader(today(), lease("a_5f1d", 3*time.Second), good))},
		{"leader: nobody ever led", Failure, one(judgeLeader(today(), nil, good))},
		{"leader: the last one gave it back", Failure, one(judgeLeader(today(), lease("", time.Hour), good))},
		{"leader: it has just gone", Warning, one(judgeLeader(today(), lease("a_5f1d", 40*time.Second), good))},
		{"leader: it has been silent for long", Failure, one(judgeLeader(today(), lease("a_5f1d", time.Hour), good))},
		{"leader: it is of another installation", Warning, one(judgeLeader(today(), lease("z_5f1d", 0), good))},
	}
}
