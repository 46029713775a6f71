package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

func TestAnAgentThatIsStoppedFailsNobody(t *testing.T) {
	now := metav1.NewTime(time.Unix(1000, 0))
	canceled := protocol.Result{ID: "a", Error: "the agent's container is being stopped", Reason: protocol.ReasonCanceled}
	for name, c := range map[string]struct {
		assignment v1beta1.Assignment
		result     protocol.Result
		want       bool
	}{
		"its container is stopped":       {v1beta1.Assignment{ID: "a"}, canceled, true},
		"the operator cancelled it":      {v1beta1.Assignment{ID: "a", Cancelled: true}, canceled, false},
		"its pod's end was seen before":  {v1beta1.Assignment{ID: "a", Lost: &now}, canceled, true},
		"it is another's work":           {v1beta1.Assignment{ID: "b"}, canceled, false},
		"restic failed":                  {v1beta1.Assignment{ID: "a"}, protocol.Result{ID: "a", Error: "no", Reason: protocol.ReasonOther}, false},
		"it succeeded before it stopped": {v1beta1.Assignment{ID: "a"}, protocol.Result{ID: "a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			list := []v1beta1.Assignment{c.assignment}
			if got := stopped(list, c.result, now); got != c.want {
				t.Errorf("got %v", got)
			}
			if c.want && (list[0].Lost == nil || !list[0].Searched) {
				t.Errorf("the assignment is %+v", list[0])
			}
		})
	}
}
