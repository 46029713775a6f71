package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

func TestAnAgentThatIsStoppedFailsNobody(t *testing.T) {
	now, before := metav1.NewTime(time.Unix(1000, 0)), metav1.NewTime(time.Unix(900, 0))
	canceled := protocol.Result{ID: "a", Error: "the agent's container is being stopped", Reason: protocol.ReasonCanceled}
	half := canceled
	half.Backups = []protocol.PathBackup{{Path: "/data"}}
	type assignment = v1beta1.Assignment
	for name, c := range map[string]struct {
		before assignment
		result protocol.Result
		after  assignment
		want   bool
	}{
		"its container is stopped":              {assignment{ID: "a"}, canceled, assignment{ID: "a", Lost: &now, Searched: true}, true},
		"it has taken snapshots of some paths":  {assignment{ID: "a"}, half, assignment{ID: "a", Lost: &now}, true},
		"its pod's end was seen before":         {assignment{ID: "a", Lost: &before}, canceled, assignment{ID: "a", Lost: &before, Searched: true}, true},
		"it was looked for before":              {assignment{ID: "a", Lost: &before, Searched: true}, half, assignment{ID: "a", Lost: &before, Searched: true}, true},
		"it has snapshots that are looked for":  {assignment{ID: "a", Lost: &before}, half, assignment{ID: "a", Lost: &before}, true},
		"the operator cancelled it":             {assignment{ID: "a", Cancelled: true}, canceled, assignment{ID: "a", Cancelled: true}, false},
		"the operator cancelled and gave it up": {assignment{ID: "a", Cancelled: true, Lost: &before}, canceled, assignment{ID: "a", Cancelled: true, Lost: &before}, false},
		"it is another's work":                  {assignment{ID: "b"}, canceled, assignment{ID: "b"}, false},
		"restic failed":                         {assignment{ID: "a"}, protocol.Result{ID: "a", Error: "no", Reason: protocol.ReasonOther}, assignment{ID: "a"}, false},
		"its time was over":                     {assignment{ID: "a"}, protocol.Result{ID: "a", Error: "no", Reason: protocol.ReasonDeadline}, assignment{ID: "a"}, false},
		"it succeeded before it stopped":        {assignment{ID: "a"}, protocol.Result{ID: "a"}, assignment{ID: "a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			other := assignment{ID: "z", Hostname: "host-9"}
			list := []assignment{other, c.before}
			if got := stopped(list, c.result, now); got != c.want {
				t.Errorf("got %v", got)
			}
			if d := cmp.Diff([]assignment{other, c.after}, list); d != "" {
				t.Error(d)
			}
		})
	}
	if stopped(nil, canceled, now) {
		t.Error("there is nothing to stop")
	}
}

// A restore that stood still was stopped by us, and its agent cannot tell why.
func TestARestoreThatWasStoppedSaysWhy(t *testing.T) {
	canceled := protocol.Result{ID: "q1/host-0/p9/2", Error: "canceled by the operator", Reason: protocol.ReasonCanceled}
	for name, c := range map[string]struct {
		deadline *metav1.Time
		want     string
	}{
		"since it stood still":     {nil, "restic was stopped, since it stands still since 2026-03-01T11:00:00Z: canceled by the operator"},
		"since its time was over":  {agoP(time.Minute), "canceled by the operator"},
		"before its time was over": {agoP(-time.Minute), "restic was stopped, since it stands still since 2026-03-01T11:00:00Z: canceled by the operator"},
	} {
		t.Run(name, func(t *testing.T) {
			rs := restoring()
			rs.Status.SessionDeadline = c.deadline
			rs.Status.Assignments[1].Cancelled, rs.Status.Assignments[1].Acknowledged = true, agoP(time.Hour)
			if _, _, err := recordRestored(rs, canceled, v1beta1.RestoredHost{Hostname: "host-0", PodUID: "p9"}, metav1.NewTime(noon())); err != nil {
				t.Fatal(err)
			}
			if st := rs.Status.Stats; len(st) != 1 || st[0].Error != c.want {
				t.Errorf("%+v", st)
			}
		})
	}
}
