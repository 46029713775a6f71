package rollout

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// Reasons of the condition StashSidecarInjected. The values are stable.
const (
	ReasonExcluded    = "NamespaceExcluded"
	ReasonFailed      = "SidecarInjectionFailed"
	ReasonSucceeded   = "SidecarInjectionSucceeded"
	ReasonWithdrawn   = "SidecarInjectionWithdrawn"
	ReasonNotStarting = "SidecarNotStarting"
	ReasonRefused     = "SidecarRefused"
	ReasonNextRollout = "WaitingForNextRollout"
	ReasonNoPods      = "NoPods"
	ReasonOthers      = "WaitingForOtherRollouts"
	ReasonPods        = "WaitingForPods"
	ReasonReplacing   = "ReplacingPods"
	ReasonRollingOut  = "RollingOut"
)

// soon is when a rollout that is under way is looked at again.
const soon = 5 * time.Second

// step answers with an action, or tells that it has nothing to do.
type step func(*state) (Action, bool)

// state is a workload that is looked at.
type state struct {
	*Workload
	now time.Time
	// memory is what is remembered of the stamp that is wanted now.
	memory v1beta1.SidecarStatus
	// all are the pods that live on, have how many of them have the sidecar; refused are those among
	// them whose agents get no work.
	all     []Pod
	have    int
	refused []Pod
	// counted says so to a person.
	counted string
}

// Next returns what the workload needs next.
func Next(o *Workload, now time.Time) Action {
	s := look(o, now)
	for _, next := range []step{
		unable,
		stamp,
		none,
		withdraw,
		complete,
		held,
		replace,
	} {
		if a, ok := next(s); ok {
			return s.remember(a)
		}
	}
	return s.remember(Action{Kind: KindWait, OK: s.serves(), Reason: ReasonRollingOut, Message: s.counted, After: soon})
}

func look(o *Workload, now time.Time) *state {
	s := &state{Workload: o, now: now, memory: v1beta1.SidecarStatus{Stamp: o.Want}}
	if o.Sidecar != nil && o.Sidecar.Stamp == o.Want {
		s.memory = *o.Sidecar.DeepCopy()
	}
	for _, p := range o.Pods {
		if p.Stamp == o.Want && p.Started && s.memory.StartedTime == nil {
			s.memory = v1beta1.SidecarStatus{
				Stamp: o.Want, StartedTime: s.at(now), ReplacedRevision: s.memory.ReplacedRevision,
				ReplacedTime: s.memory.ReplacedTime, FruitlessReplacements: s.memory.FruitlessReplacements,
			}
		}
		if !p.Ending.IsZero() {
			continue
		}
		s.all = append(s.all, p)
		if p.Injected {
			s.have++
		}
		if p.Injected && p.Refused != "" {
			s.refused = append(s.refused, p)
		}
	}
	s.forgetReplaced()
	s.counted = fmt.Sprintf("%d of %d pods have the sidecar", s.have, len(s.all))
	if p := s.stuck(); p != nil {
		s.counted += "; " + p.cannotStart()
	}
	if n := len(s.refused); n > 0 {
		s.counted += fmt.Sprintf("; in %d of them it gets no work, since it is refused: of pod %q, %s", n, s.refused[0].Name, s.refused[0].Refused)
	}
	return s
}

// at is a time as a status holds it.
func (s *state) at(t time.Time) *metav1.Time {
	return new(metav1.NewTime(t.UTC().Truncate(time.Second)))
}

func (s *state) remember(a Action) Action {
	a.Remember = s.remembered()
	return a
}

// remembered is what is known of the stamp now, as a status holds it.
func (s *state) remembered() *v1beta1.SidecarStatus {
	switch {
	case s.Want == "":
		return s.Sidecar
	case s.memory == v1beta1.SidecarStatus{Stamp: s.Want}:
		return nil
	}
	return s.memory.DeepCopy()
}

// unable tells of workloads that get no sidecar at all.
func unable(s *state) (Action, bool) {
	switch {
	case s.Excluded != "":
		return Action{Kind: KindWait, Reason: ReasonExcluded, Message: s.Excluded, Settled: true}, true
	case s.Want == "":
		return Action{Kind: KindWait, Reason: ReasonFailed, Message: "no configuration of the workload can be served", Settled: true}, true
	}
	return Action{}, false
}

// stamp asks for pods with the sidecar, unless the rollout is left to the user: since the user wants
// it so, or since it would destroy what is to be backed up.
func stamp(s *state) (Action, bool) {
	lost := s.Lost
	if len(s.all) == 0 {
		lost = "" // there is nothing in it
	}
	later := Later(s.OnNextRollout, lost)
	switch {
	case s.Have == s.Want:
		return Action{}, false
	case Withdrawn(&s.memory, s.Want, s.Image, s.now):
		a := s.withdrawn()
		if later != "" {
			a.Message += "; " + later
		}
		return a, true
	case later != "":
		return Action{Kind: KindWait, Reason: ReasonNextRollout, Message: later, Settled: true}, true
	}
	return Action{Kind: KindStamp, Reason: ReasonRollingOut, Message: "the workload is being rolled out with the sidecar", After: soon}, true
}

// Later says why a workload that runs is not rolled out for its sidecar: since its user wants it so,
// or for a volume that is backed up and goes with its pod. Empty: it is.
func Later(onNextRollout bool, lost string) string {
	switch {
	case onNextRollout:
		return "rolloutPolicy is OnNextRollout: the sidecar comes with the next rollout of the workload"
	case lost == "":
		return ""
	}
	return lost + " would be lost in a rollout before it was ever backed up: " +
		"the sidecar comes with the next rollout of the workload, which is left to you (kubectl rollout restart)"
}

// none tells of a workload that wants pods and has none. Where our container is what the API server
// refuses, the application comes first.
func none(s *state) (Action, bool) {
	if len(s.all) > 0 || s.Rollout.Pods == 0 {
		return Action{}, false
	}
	if s.Refused == "" {
		s.memory.RefusedTime = nil
		return Action{Kind: KindWait, Reason: ReasonRollingOut, Message: fmt.Sprintf("the workload wants %d pods and has none", s.Rollout.Pods), After: soon}, true
	}
	if s.memory.RefusedTime == nil {
		s.memory.RefusedTime = s.at(s.now)
	}
	if s.now.Sub(s.memory.RefusedTime.Time) < refusedPatience {
		return Action{Kind: KindWait, Reason: ReasonFailed, Message: "the workload has no pods: " + s.Refused, After: soon}, true
	}
	return s.takeBack(s.Refused), true
}

// complete tells of a workload all of whose pods have the sidecar.
func complete(s *state) (Action, bool) {
	if s.have < len(s.all) {
		return Action{}, false
	}
	if len(s.all) == 0 {
		return Action{Kind: KindWait, OK: true, Reason: ReasonNoPods, Message: "there are no pods; those that come get the sidecar", Settled: true}, true
	}
	switch {
	case s.stuck() != nil:
	case len(s.refused) > 0:
		return Action{Kind: KindWait, OK: s.serves(), Reason: ReasonRefused, Message: s.counted, Settled: true}, true
	default:
		return Action{Kind: KindWait, OK: true, Reason: ReasonSucceeded, Message: s.counted, Settled: true}, true
	}
	a := Action{Kind: KindWait, OK: s.started(), Reason: ReasonNotStarting, Message: s.counted, Settled: true}
	if s.memory.StartedTime == nil {
		a.Settled, a.After = false, soon // it may have to be withdrawn
	}
	return a, true
}

// stuck is a pod that cannot start its sidecar, or nil.
func (s *state) stuck() *Pod {
	for i := range s.all {
		if p := &s.all[i]; p.Stuck != "" && !p.Started {
			return p
		}
	}
	return nil
}

// serves tells whether some pod has a sidecar that is not refused.
func (s *state) serves() bool { return s.have > len(s.refused) }

// started tells whether the sidecar of some pod was started, of whatever stamp, and is not refused.
func (s *state) started() bool {
	for i := range s.all {
		if s.all[i].Started && s.all[i].Refused == "" {
			return true
		}
	}
	return false
}

func (p *Pod) cannotStart() string { return fmt.Sprintf("pod %q cannot start it: %s", p.Name, p.Stuck) }

// held tells of pods that are not replaced, since the user wants to do it.
func held(s *state) (Action, bool) {
	var why string
	switch r := s.Rollout; {
	case r.Paused:
		why = "the workload's rollout is paused"
	case r.OnDelete:
		why = "the workload's update strategy is OnDelete"
	case r.Partition > 0:
		why = fmt.Sprintf("the workload's update strategy has partition %d", r.Partition)
	case s.OnNextRollout && s.missed():
		why = "rolloutPolicy is OnNextRollout"
	default:
		return Action{}, false
	}
	return Action{
		Kind: KindWait, OK: s.serves(), Reason: ReasonPods, Settled: true,
		Message: s.counted + "; the others get it when they are replaced: " + why,
	}, true
}
