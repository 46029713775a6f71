package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// What kept a session from its work before is not counted as waiting for its pods.
func TestTheWaitForPodsBeginsWhenNothingElseIsInTheWay(t *testing.T) {
	bs := newSession(configuration(), "shop-1")
	o := &session.Backup{Session: bs, Invoker: configuration(), Hosts: []session.Host{{Name: "host-0"}, {Name: "host-1"}}}
	maintenance, pod := session.Wait("waiting for maintenance", time.Second), session.Action{Kind: session.KindWait, Ready: true}
	at := func(minute int) time.Time { return noon().Add(time.Duration(minute) * time.Minute) }
	for _, step := range []struct {
		minute int
		wait   session.Action
		since  *metav1.Time
	}{
		{1, maintenance, nil},
		{6, pod, &metav1.Time{Time: at(6)}},
		{7, pod, &metav1.Time{Time: at(6)}},
		{8, maintenance, nil},
		{20, pod, &metav1.Time{Time: at(20)}},
	} {
		waiting(bs, step.wait, at(step.minute))
		if got := bs.Status.ReadyTime; !got.Equal(step.since) {
			t.Fatalf("in minute %d it waits for its pod since %v, want %v", step.minute, got, step.since)
		}
	}
	record(bs, o, session.Action{Kind: session.KindAssign, Assignments: []v1beta1.Assignment{{ID: "a", Hostname: "host-0", Attempt: 1}}}, at(22))
	released := bs.Status.Targets[0].Released
	if !released[1].Time.Time.Equal(at(20)) {
		t.Errorf("the host without a pod waits since %s", released[1].Time)
	}
	record(bs, o, session.Action{Kind: session.KindRelease, Assignment: "a"}, at(40))
	if got := bs.Status.Targets[0].Released[0]; got.Attempts != 1 || !got.Time.Time.Equal(at(40)) {
		t.Errorf("the host that was given up: %+v", got)
	}
}
