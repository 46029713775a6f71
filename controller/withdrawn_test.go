package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/rollout"
)

// stuck is a pod whose sidecar does not start.
func (s *stage) stuck(name, stamp string, age time.Duration) *corev1.Pod {
	p := s.pod(name, stamp, true)
	p.CreationTimestamp = ago(age)
	p.Status.Conditions[0].Status = corev1.ConditionFalse
	p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}
	return p
}

func TestAStampWhosePodsCannotStartIsTakenBackAndTriedAgain(t *testing.T) {
	s := newStage()
	hash := s.stamp(t)
	s.stuck("db-0", hash, 2*time.Minute)
	s.start(t)
	cond, _ := s.look(t)
	if s.stored(t) != "" || cond.Reason != rollout.ReasonWithdrawn ||
		!strings.Contains(cond.Message, "ImagePullBackOff: no such image") || !strings.Contains(cond.Message, "tried again at 2026-03-01T12:10:00Z") {
		t.Fatalf("%+v, stamp %q", cond, s.stored(t))
	}
	if n, ok := s.Events.(*notes); !ok || len(n.list) != 1 || !strings.Contains(n.list[0], "withdrawn") {
		t.Errorf("events %q", s.Events)
	}
	s.at(time.Second)
	if cond, _ = s.look(t); s.stored(t) != "" || cond.Reason != rollout.ReasonWithdrawn || !s.has(t, "db-0") {
		t.Errorf("at once: %+v, stamp %q", cond, s.stored(t))
	}
	// A StatefulSet waits for ever for a pod that never came up.
	s.at(30 * time.Second)
	if s.look(t); s.has(t, "db-0") {
		t.Error("the pod waits for ever")
	}
	s.at(9 * time.Minute)
	if _, res := s.look(t); s.stored(t) != "" || res.RequeueAfter != time.Minute {
		t.Errorf("too early: stamp %q, %+v", s.stored(t), res)
	}
	s.at(11 * time.Minute)
	if s.look(t); s.stored(t) != hash {
		t.Errorf("it is not tried again: stamp %q", s.stored(t))
	}
}

// The registry may be away for a moment: a workload whose sidecars ran is not torn down for it.
func TestAPodThatCannotPullTakesNoStampBack(t *testing.T) {
	s := newStage()
	hash := s.stamp(t)
	s.pod("db-0", hash, true)
	s.start(t)
	if cond, _ := s.look(t); cond.Status != metav1.ConditionTrue {
		t.Fatalf("%+v", cond)
	}
	if err := s.Delete(t.Context(), s.objects[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), s.stuck("db-0", hash, 0)); err != nil {
		t.Fatal(err)
	}
	s.at(time.Hour)
	if cond, _ := s.look(t); s.stored(t) != hash || cond.Reason != rollout.ReasonNotStarting || !strings.Contains(cond.Message, "no such image") {
		t.Errorf("%+v, stamp %q", cond, s.stored(t))
	}
}

// Its pods came down with the rollout, and none comes up: the quota has no room for both containers.
func TestAnApplicationComesBackWithoutASidecarThatIsRefused(t *testing.T) {
	s := newStage()
	s.stamp(t)
	s.refuse = forbidden("exceeded quota: q")
	s.start(t)
	if cond, _ := s.look(t); cond.Status != metav1.ConditionFalse || !strings.Contains(cond.Message, "exceeded quota: q") || s.stored(t) == "" {
		t.Fatalf("at first: %+v, stamp %q", cond, s.stored(t))
	}
	s.at(time.Minute)
	if cond, _ := s.look(t); cond.Reason != rollout.ReasonWithdrawn || s.stored(t) != "" {
		t.Errorf("then: %+v, stamp %q", cond, s.stored(t))
	}
	// Where the application's own pod is refused too, the sidecar is not what keeps it down.
	s = newStage()
	s.stamp(t)
	s.refuse, s.bare = forbidden("exceeded quota: q"), forbidden("exceeded quota: q")
	s.start(t)
	s.look(t)
	s.at(time.Minute)
	if cond, _ := s.look(t); cond.Status != metav1.ConditionFalse || !strings.Contains(cond.Message, "has none") || s.stored(t) == "" {
		t.Errorf("%+v, stamp %q", cond, s.stored(t))
	}
}
