package controller

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/rollout"
	"github.com/seed-731df569/stash/target"
)

// A leader leads before its webhook is reached: a pod that is evicted then comes back bare.
func TestAPodThatMissedItsSidecarIsEvictedOnceAnotherWouldHaveIt(t *testing.T) {
	s := newStage()
	hash := s.stamp(t)
	s.pod("db-0", hash, false)
	s.unreached = true
	s.start(t)
	logged := &strings.Builder{}
	s.Log = slog.New(slog.NewTextHandler(logged, nil))
	for _, later := range []time.Duration{0, time.Minute, 100 * time.Hour} {
		s.at(later)
		cond, res := s.look(t)
		if !s.has(t, "db-0") || cond.Reason != rollout.ReasonFailed || !strings.Contains(cond.Message, `pod "db-0" is not replaced yet: the API server would start a pod without`) || res.RequeueAfter != time.Minute {
			t.Fatalf("after %s: %+v, %+v", later, cond, res)
		}
	}
	if c := read(t, s.World, "demo", "shop", &v1beta1.BackupConfiguration{}); c.Status.Sidecar != nil || logged.Len() > 0 {
		t.Errorf("what was not done is remembered: %+v, %s", c.Status.Sidecar, logged)
	}
	owner := metav1.GetControllerOf(&s.asked[0])
	if owner == nil || owner.Kind != "StatefulSet" || owner.Name != "db" || owner.UID != "w1" || s.asked[0].Labels[api.LabelInject] != hash || viewPod(&s.asked[0], api.ContainerSidecar).Injected {
		t.Errorf("the webhook would not know the pod: %+v", s.asked[0])
	}
	s.unreached = false
	if cond, _ := s.look(t); s.has(t, "db-0") || cond.Reason != rollout.ReasonReplacing || !strings.Contains(logged.String(), "level=INFO") || !strings.Contains(logged.String(), "pod=db-0") {
		t.Errorf("%+v, logged %q", cond, logged)
	}
}

func TestAReplacementThatMissedItsSidecarTooIsEvictedLater(t *testing.T) {
	s := newStage()
	hash := s.stamp(t)
	s.pod("db-0", hash, false)
	s.start(t)
	cond, _ := s.look(t)
	if s.has(t, "db-0") || cond.Reason != rollout.ReasonReplacing || len(s.tried) != 1 || len(s.asked) != 1 {
		t.Fatalf("%+v, tried %d, asked %d", cond, len(s.tried), len(s.asked))
	}
	// Its replacement misses it too. The operator is another one by then, and time passes.
	next := s.pod("db-0", hash, false)
	next.CreationTimestamp = metav1.NewTime(noon().Add(time.Second))
	if err := s.Create(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{20 * time.Second, 2 * time.Minute} {
		s.at(later)
		if cond, res := s.look(t); !s.has(t, "db-0") || cond.Reason != rollout.ReasonFailed || !strings.Contains(cond.Message, "tried again at 2026-03-01T12:02:01Z") || res.RequeueAfter != 2*time.Minute+time.Second-later {
			t.Errorf("after %s: %+v, %+v", later, cond, res)
		}
	}
	s.at(3 * time.Minute)
	s.unreached = true
	if cond, _ := s.look(t); !s.has(t, "db-0") || cond.Reason != rollout.ReasonFailed {
		t.Errorf("without a proof: %+v", cond)
	}
	s.unreached = false
	if cond, _ := s.look(t); s.has(t, "db-0") || cond.Reason != rollout.ReasonReplacing {
		t.Errorf("it is not tried again: %+v", cond)
	}
}

// The next revision is another matter.
func TestAPodOfAnotherRevisionIsEvictedAtOnce(t *testing.T) {
	s := newStage()
	hash := s.stamp(t)
	next := s.pod("db-0", hash, false)
	next.CreationTimestamp = ago(time.Minute)
	s.config.Status.Sidecar = &v1beta1.SidecarStatus{Stamp: hash, ReplacedRevision: "r1", ReplacedTime: agoP(2 * time.Minute)}
	s.start(t)
	if s.look(t); !s.has(t, "db-0") {
		t.Fatal("it is replaced at once")
	}
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(next), next); err != nil {
		t.Fatal(err)
	}
	next.Labels[appsv1.ControllerRevisionHashLabelKey] = "r2"
	if err := s.Update(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if s.look(t); s.has(t, "db-0") {
		t.Error("a pod of another revision is not replaced")
	}
}

func TestAPodIsNotEvictedWhere(t *testing.T) {
	zero, two := int32(0), int32(2)
	rolling := func(partition *int32) func(*stage) {
		return func(s *stage) {
			s.set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: partition}}
		}
	}
	for name, c := range map[string]struct {
		change  func(*stage)
		evicted bool
		reason  string
		says    string
	}{
		"nothing stands against it": {rolling(&zero), true, rollout.ReasonReplacing, "is being replaced"},
		"the workload is updated on delete": {func(s *stage) {
			s.set.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
		}, false, rollout.ReasonPods, "OnDelete"},
		"the workload is partitioned":    {rolling(&two), false, rollout.ReasonPods, "partition 2"},
		"rollouts are left to the user":  {func(s *stage) { s.config.Spec.RolloutPolicy = v1beta1.RolloutOnNext }, false, rollout.ReasonPods, "OnNextRollout"},
		"the pod could not be completed": {func(s *stage) { s.refuse = apierrors.NewForbidden(corev1.Resource("pods"), "x", errors.New("no room")) }, false, rollout.ReasonFailed, "no room"},
		"a disruption budget forbids it": {func(s *stage) { s.block = apierrors.NewTooManyRequests("budget", 1) }, false, rollout.ReasonReplacing, ""},
		"its emptyDir would be lost": {func(s *stage) {
			s.set.Spec.Template.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
		}, false, rollout.ReasonPods, `emptyDir "data"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage()
			c.change(s)
			s.pod("db-0", s.stamp(t), false)
			s.start(t)
			cond, _ := s.look(t)
			if s.has(t, "db-0") == c.evicted || cond.Reason != c.reason || !strings.Contains(cond.Message, c.says) {
				t.Errorf("%+v", cond)
			}
		})
	}
}

// A budget that allows no eviction now has not had its one eviction.
func TestAnEvictionThatWasRefusedIsTriedAgain(t *testing.T) {
	s := newStage()
	s.pod("db-0", s.stamp(t), false)
	s.block = apierrors.NewTooManyRequests("budget", 1)
	s.start(t)
	if s.look(t); !s.has(t, "db-0") {
		t.Fatal("the budget was broken")
	}
	s.block = nil
	if s.look(t); s.has(t, "db-0") {
		t.Error("it is not tried again")
	}
}

func TestAPausedDeploymentIsLeftToTheUser(t *testing.T) {
	s := newStage()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db", UID: "w1"}}
	d.Spec.Paused, d.Spec.Template = true, s.set.Spec.Template
	s.config.Spec.Target.Ref.Kind = "Deployment"
	hash := s.stamp(t)
	d.Spec.Template = s.set.Spec.Template
	p := s.pod("db-1-x", hash, false)
	p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name, p.OwnerReferences[0].UID = "ReplicaSet", "db-1", "s1"
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db-1", UID: "s1", OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "Deployment", Name: "db", UID: "w1", Controller: new(true),
	}}}}
	s.objects = append(s.objects, d, set)
	s.start(t)
	r := &Workloads{World: s.World, Kind: target.Deployment(), Rollouts: &Rollouts{}}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(d)}); err != nil {
		t.Fatal(err)
	}
	c := read(t, s.World, "demo", "shop", &v1beta1.BackupConfiguration{})
	cond := api.FindCondition(c.Status.Conditions, api.StashSidecarInjected)
	if cond == nil || !strings.Contains(cond.Message, "0 of 1 pods") || !strings.Contains(cond.Message, "paused") || !s.has(t, "db-1-x") {
		t.Errorf("%+v", cond)
	}
}
