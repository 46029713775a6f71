package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/webhook"
)

// refuse answers dry runs of pods with an error, and keeps the last one.
func refuse(answer *error, last **corev1.Pod) interceptor.Funcs {
	return interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		pod, ok := obj.(*corev1.Pod)
		if !ok || len((&client.CreateOptions{}).ApplyOptions(opts).DryRun) == 0 {
			return c.Create(ctx, obj, opts...)
		}
		*last = pod
		return *answer
	}}
}

func podForbidden(text string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "stash-probe", errors.New(text))
}

// target is what restoring restores, with what policies of a cluster like to ask for.
func restoredSet() *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db", UID: "t1"}}
	set.Spec.Template.Labels = map[string]string{"team": "shop", api.LabelRestore: "x"}
	set.Spec.Template.Spec = corev1.PodSpec{
		Volumes:    []corev1.Volume{{Name: "data"}},
		Containers: []corev1.Container{{Name: "db", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: {}}}}},
	}
	return set
}

func TestANamespaceIsProbedWithAPodOfTheTarget(t *testing.T) {
	rs := restoring()
	rs.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	var answer error
	var probe *corev1.Pod
	w := newWorld(t, refuse(&answer, &probe), rs, repository(), restoredSet(), namespace("demo", "shop"))
	for text, c := range map[string]struct {
		answer  error
		closed  bool
		refused string
	}{
		"our hook refuses it":    {podForbidden("admission webhook denied the request: " + webhook.ClosedMessage), true, ""},
		"nobody refuses it":      {nil, false, ""},
		"a limit range does":     {podForbidden("maximum cpu usage per Pod is 1"), false, "maximum cpu usage"},
		"a policy does":          {apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "stash-probe", nil), false, "is invalid"},
		"a stranger's hook does": {apierrors.NewBadRequest("admission webhook denied the request: label team is missing"), false, "label team"},
		"a hook is away":         {apierrors.NewInternalError(errors.New("failed calling webhook")), false, "failed calling webhook"},
	} {
		answer = c.answer
		closed, refused, err := w.Closed(t.Context(), rs)
		if err != nil || closed != c.closed || !strings.Contains(refused, c.refused) || (refused == "") != (c.refused == "") {
			t.Errorf("%s: closed is %t, refused %q: %v", text, closed, refused, err)
		}
		if probe.Labels["team"] != "shop" || probe.Labels[api.LabelProbe] == "" || probe.Labels[api.LabelRestore] != "" || probe.Namespace != "demo" {
			t.Errorf("%s: it is probed with %+v", text, probe.ObjectMeta)
		}
		if len(probe.Spec.Containers) != 1 || len(probe.Spec.Containers[0].Resources.Limits) != 1 || len(probe.Spec.InitContainers) != 1 || probe.Spec.InitContainers[0].Name != api.ContainerRestore {
			t.Errorf("%s: it is probed with %+v", text, probe.Spec)
		}
	}
	answer = apierrors.NewTooManyRequests("later", 1)
	if _, refused, err := w.Closed(t.Context(), rs); err == nil {
		t.Errorf("a busy API server refuses: %q", refused)
	}
	if err := w.Delete(t.Context(), restoredSet()); err != nil {
		t.Fatal(err)
	}
	answer = nil
	if _, _, err := w.Closed(t.Context(), rs); err != nil || len(probe.Spec.Containers) != 1 || probe.Namespace != "demo" {
		t.Errorf("without a target it is probed with %+v: %v", probe, err)
	}
}

// A restore says who keeps it from its beginning, since when, and that it is over.
func TestARestoreSaysWhoRefusesItsPods(t *testing.T) {
	now := metav1.NewTime(noon())
	rs := restoring()
	rs.Status = v1beta1.RestoreSessionStatus{}
	o := &session.Restore{Session: rs, Refused: "label team is missing"}
	recordRestore(rs, o, session.Action{Kind: session.KindClose, Message: "refused: label team is missing"}, now)
	c := api.FindCondition(rs.Status.Conditions, api.NamespaceClosed)
	if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "label team") || !strings.Contains(rs.Status.Reason, "label team") {
		t.Fatalf("%+v", rs.Status)
	}
	o.Closed, o.Refused = true, ""
	recordRestore(rs, o, session.Action{Kind: session.KindWait}, metav1.NewTime(noon().Add(time.Minute)))
	if c := api.FindCondition(rs.Status.Conditions, api.NamespaceClosed); c.Status != metav1.ConditionTrue {
		t.Errorf("%+v", c)
	}
}
