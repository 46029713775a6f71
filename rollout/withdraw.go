package rollout

import (
	"fmt"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// patience is how long a pod may try to start its sidecar: an image that cannot be pulled now can be
// pulled a moment later.
const patience = time.Minute

// refusedPatience is how long a workload may be without a pod since ours are refused: its last pod may
// be about to make room in a quota.
const refusedPatience = 15 * time.Second

// Pauses between a withdrawal, or an eviction that brought nothing, and the next attempt.
const (
	firstPause = 10 * time.Minute
	maxPause   = 6 * time.Hour
)

// Pause is how long nothing is tried after so many withdrawals in a row.
func Pause(withdrawals int32) time.Duration {
	return doubled(firstPause, withdrawals-1)
}

// doubled is a pause that was doubled so many times, within maxPause.
func doubled(first time.Duration, times int32) time.Duration {
	return min(maxPause, first<<min(max(times, 0), 10))
}

// Withdrawn tells whether a stamp was taken back and is not tried again yet. Another image is tried
// at once.
func Withdrawn(m *v1beta1.SidecarStatus, want, image string, now time.Time) bool {
	return m != nil && m.Stamp == want && m.WithdrawnImage == image && m.NextAttempt != nil && now.Before(m.NextAttempt.Time)
}

// withdraw takes the stamp back when the rollout cannot go on because of our container: no pod of
// the stamp ever started it, and one has tried for long enough. A sidecar that some pod has started
// is not at fault; what keeps another from it is the matter of that pod, its node or the registry.
func withdraw(s *state) (Action, bool) {
	if s.memory.StartedTime != nil {
		return Action{}, false
	}
	for _, p := range s.all {
		if p.Stamp != s.Want || p.Stuck == "" || p.Started || s.now.Sub(p.Created) < patience {
			continue
		}
		return s.takeBack(fmt.Sprintf("pod %q: %s", p.Name, p.Stuck)), true
	}
	return Action{}, false
}

// takeBack takes the stamp back, and remembers why; what is remembered already was not done yet.
func (s *state) takeBack(why string) Action {
	if m := &s.memory; !Withdrawn(m, s.Want, s.Image, s.now) {
		m.Withdrawals++
		m.WithdrawnTime, m.NextAttempt = s.at(s.now), s.at(s.now.Add(Pause(m.Withdrawals)))
		m.WithdrawnImage, m.WithdrawnMessage = s.Image, why
	}
	s.memory.RefusedTime = nil
	return Action{Kind: KindWithdraw, Reason: ReasonWithdrawn, Message: WithdrawnMessage(&s.memory), Settled: true, After: soon}
}

// withdrawn waits for the next attempt. Pods that wait for the sidecar are deleted meanwhile, since
// a StatefulSet does not replace a pod that never came up.
func (s *state) withdrawn() Action {
	a := Action{
		Kind: KindWait, OK: s.started(), Reason: ReasonWithdrawn, Settled: true,
		Message: WithdrawnMessage(&s.memory), After: s.memory.NextAttempt.Sub(s.now),
	}
	for _, p := range s.all {
		if p.Stamp != s.Want || p.Stuck == "" || p.Started || p.Lost != "" {
			continue
		}
		// Those of a Deployment go by themselves.
		if a.After = soon; s.now.Sub(s.memory.WithdrawnTime.Time) > soon {
			a.Kind, a.Pod = KindDelete, p.Name
		}
	}
	return a
}

// WithdrawnMessage says what happened, and when it is tried again.
func WithdrawnMessage(m *v1beta1.SidecarStatus) string {
	return fmt.Sprintf("the rollout with the sidecar was withdrawn at %s, since no pod could start it: %s; it is tried again at %s",
		m.WithdrawnTime.UTC().Format(time.RFC3339), m.WithdrawnMessage, m.NextAttempt.UTC().Format(time.RFC3339))
}
