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

// fruitlessPause is for how long nothing is evicted, at first, after a replacement has missed its
// sidecar too.
const fruitlessPause = 2 * time.Minute

// Fruitless is for how long nothing is evicted after a replacement has missed its sidecar too, and so
// many in a row before it.
func Fruitless(before int32) time.Duration { return doubled(fruitlessPause, before) }

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

// replace evicts one pod that was created while nobody could complete it. Where a pod that came after
// the last eviction of its revision has missed its sidecar too, the next one waits, longer each time:
// it would harm the application and may bring nothing.
func replace(s *state) (Action, bool) {
	wait, reason, after := "", ReasonPods, time.Duration(0)
	for i := range s.all {
		p := &s.all[i]
		if !p.missed() {
			continue
		}
		switch {
		case p.Lost != "":
			wait = fmt.Sprintf("pod %q is not replaced, since its %s would be lost", p.Name, p.Lost)
			continue
		case s.again(p.Revision).After(s.now):
			wait = fmt.Sprintf("pod %q was created after another one was replaced and has no sidecar either: the API server does not reach Stash's webhook, "+
				"or the pod cannot be completed; it is tried again at %s", s.fruitless(p.Revision).Name, s.again(p.Revision).UTC().Format(time.RFC3339))
			reason, after = ReasonFailed, s.again(p.Revision).Sub(s.now)
			continue
		case s.moving(p):
			return Action{
				Kind: KindWait, OK: s.serves(), Reason: ReasonReplacing, After: soon,
				Message: s.counted + fmt.Sprintf("; pod %q is replaced when the others are ready", p.Name),
			}, true
		}
		return s.evict(p), true
	}
	if wait == "" {
		return Action{}, false
	}
	return Action{Kind: KindWait, OK: s.serves(), Reason: reason, Message: s.counted + "; " + wait, Settled: true, After: after}, true
}

// evict replaces a pod, if it is proven that this would help. Only what was counted before is remembered
// until then, and what a disruption budget keeps from being done is not counted twice: a pod that was
// there before is no replacement.
func (s *state) evict(p *Pod) Action {
	unproven := Action{
		Kind: KindWait, OK: s.serves(), Reason: ReasonFailed, After: time.Minute, Remember: s.remembered(),
		Message: s.counted + fmt.Sprintf("; pod %q is not replaced yet", p.Name),
	}
	switch {
	case s.memory.ReplacedRevision != p.Revision:
		s.memory.FruitlessReplacements = 0
	case s.fruitless(p.Revision) != nil:
		s.memory.FruitlessReplacements++
	}
	s.memory.ReplacedRevision, s.memory.ReplacedTime = p.Revision, s.at(s.youngest(p.Revision))
	return Action{
		Kind: KindReplace, OK: s.serves(), Reason: ReasonReplacing, Pod: p.Name, After: soon, Unproven: &unproven,
		Message: s.counted + fmt.Sprintf("; pod %q is being replaced", p.Name),
	}
}

// followed tells whether a pod came after the last eviction of its revision, which was to bring it the
// sidecar.
func (s *state) followed(p *Pod) bool {
	return s.memory.ReplacedTime != nil && s.memory.ReplacedRevision == p.Revision && p.Created.After(s.memory.ReplacedTime.Time)
}

// fruitless is the youngest pod that came after the last eviction of a revision and has missed its
// sidecar too; nil: there is none.
func (s *state) fruitless(revision string) (found *Pod) {
	for i := range s.all {
		if p := &s.all[i]; p.Revision == revision && p.missed() && s.followed(p) && (found == nil || p.Created.After(found.Created)) {
			found = p
		}
	}
	return found
}

// again is when a pod of a revision may be replaced, after an eviction that brought nothing; zero: at
// once.
func (s *state) again(revision string) (at time.Time) {
	if p := s.fruitless(revision); p != nil {
		at = p.Created.Add(Fruitless(s.memory.FruitlessReplacements))
	}
	return at
}

// forgetReplaced forgets the last eviction once it has helped: a pod that misses its sidecar later does
// so for another reason.
func (s *state) forgetReplaced() {
	for i := range s.all {
		if p := &s.all[i]; p.Injected && s.followed(p) {
			s.memory.ReplacedRevision, s.memory.ReplacedTime, s.memory.FruitlessReplacements = "", nil, 0
			return
		}
	}
}

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
