package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-731df569/stash/session"
)

func TestAWorkerThatDoesNotRunSaysWhy(t *testing.T) {
	young, old := noon().Add(-5*time.Second), noon().Add(-3*time.Minute)
	for name, c := range map[string]struct {
		worker       session.MissingWorker
		reason, says string
	}{
		"it is being made":         {session.MissingWorker{}, "", ""},
		"it is being scheduled":    {session.MissingWorker{Pod: "w", Created: young, Unschedulable: "0/3 nodes"}, "", ""},
		"it is being started":      {session.MissingWorker{Pod: "w", Created: noon().Add(-time.Minute)}, "", ""},
		"a quota has no room":      {session.MissingWorker{Refused: "exceeded quota: small"}, session.ReasonQuota, "small"},
		"a quota asks for more":    {session.MissingWorker{Refused: "failed quota: q: must specify limits.cpu"}, session.ReasonQuota, "limits.cpu"},
		"Pod Security forbids it":  {session.MissingWorker{Refused: `violates PodSecurity "restricted:latest": x`}, session.ReasonPodSecurity, "restricted"},
		"somebody else forbids it": {session.MissingWorker{Refused: "denied by policy"}, session.ReasonRefused, "denied by policy"},
		"no node takes it":         {session.MissingWorker{Pod: "w", Created: old, Unschedulable: "0/3 nodes"}, session.ReasonUnschedulable, "0/3 nodes"},
		"its image is not there":   {session.MissingWorker{Pod: "w", Created: young, Waiting: "ImagePullBackOff", WaitingMessage: "no such image"}, session.ReasonImagePull, "no such image"},
		"its image has no name":    {session.MissingWorker{Pod: "w", Created: young, Waiting: "InvalidImageName"}, session.ReasonImagePull, "InvalidImageName"},
		"kubelet cannot make it":   {session.MissingWorker{Pod: "w", Created: young, Waiting: "CreateContainerError", WaitingMessage: "x"}, session.ReasonNotStarted, "CreateContainerError: x"},
		"it does not come":         {session.MissingWorker{Pod: "w", Created: old}, session.ReasonNotStarted, "2026-03-01T11:57:00Z"},
		"it ended":                 {session.MissingWorker{Pod: "w", Created: young, Ended: "OOMKilled"}, session.ReasonWorkerFailed, "OOMKilled"},
	} {
		reason, message := c.worker.Trouble(noon())
		if reason != c.reason || !strings.Contains(message, c.says) || (message == "") != (reason == "") {
			t.Errorf("%s: %q, %q", name, reason, message)
		}
	}
}
