package rollout

import (
	"fmt"
	"time"
)

// Pods are replaced one after the other: a pod that is younger than settle may not be all that there
// is, and one that is younger than unready and not ready, or ending for less, is waited for.
const (
	settle  = 10 * time.Second
	unready = 5 * time.Minute
)

// missed tells whether a pod asked for the sidecar and did not get it.
func (s *state) missed() bool {
	for i := range s.all {
		if s.all[i].missed() {
			return true
		}
	}
	return false
}

func (p *Pod) missed() bool { return p.Stamp != "" && !p.Injected }

// replace evicts one pod that was created while nobody could complete it. In each revision this
// goes on only as long as it helps: where a pod that came after the last eviction has missed its
// sidecar too, another eviction would harm the application and bring nothing.
func replace(s *state) (Action, bool) {
	wait, reason := "", ReasonPods
	for i := range s.all {
		p := &s.all[i]
		if !p.missed() {
			continue
		}
		switch {
		case p.Lost != "":
			wait = fmt.Sprintf("pod %q is not replaced, since its %s would be lost", p.Name, p.Lost)
			continue
		case s.useless(p):
			wait = fmt.Sprintf("pod %q was created after another one was replaced and has no sidecar either: the API server does not reach Stash's webhook, "+
				"or the pod cannot be completed; once that is mended, roll the workload out (kubectl rollout restart)", p.Name)
			reason = ReasonFailed
			continue
		case s.moving(p):
			return Action{
				Kind: KindWait, OK: s.serves(), Reason: ReasonReplacing, After: soon,
				Message: s.counted + fmt.Sprintf("; pod %q is replaced when the others are ready", p.Name),
			}, true
		}
		s.memory.ReplacedRevision, s.memory.ReplacedTime = p.Revision, s.at(s.youngest(p.Revision))
		return Action{
			Kind: KindReplace, OK: s.serves(), Reason: ReasonReplacing, Pod: p.Name, After: soon,
			Message: s.counted + fmt.Sprintf("; pod %q is being replaced", p.Name),
		}, true
	}
	if wait == "" {
		return Action{}, false
	}
	return Action{Kind: KindWait, OK: s.serves(), Reason: reason, Message: s.counted + "; " + wait, Settled: true}, true
}

// useless tells whether a pod came after the last eviction of its revision, and none that did has
// the sidecar.
func (s *state) useless(p *Pod) bool {
	if s.memory.ReplacedRevision != p.Revision || s.memory.ReplacedTime == nil || !s.replacement(p) {
		return false
	}
	for i := range s.all {
		if other := &s.all[i]; other.Revision == p.Revision && s.replacement(other) && other.Injected {
			return false
		}
	}
	return true
}

func (s *state) replacement(p *Pod) bool { return p.Created.After(s.memory.ReplacedTime.Time) }

// moving tells whether pods beside this one come or go now.
func (s *state) moving(p *Pod) bool {
	if s.now.Sub(s.youngest(p.Revision)) < settle {
		return true
	}
	for i := range s.Pods {
		switch other := &s.Pods[i]; {
		case other.Name == p.Name:
		case !other.Ending.IsZero() && s.now.Sub(other.Ending) < unready,
			other.Ending.IsZero() && !other.Ready && s.now.Sub(other.Created) < unready:
			return true
		}
	}
	return false
}

// youngest is when the youngest pod of a revision was created.
func (s *state) youngest(revision string) (at time.Time) {
	for i := range s.all {
		if p := &s.all[i]; p.Revision == revision && p.Created.After(at) {
			at = p.Created
		}
	}
	return at
}
