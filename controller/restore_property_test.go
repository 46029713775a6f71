package controller

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

func (m *restoreModel) actions() map[string]func(*rapid.T) {
	failure := protocol.Result{Error: "disk full", Reason: protocol.ReasonOther}
	canceled := protocol.Result{Error: "stopped", Reason: protocol.ReasonCanceled}
	return map[string]func(*rapid.T){
		"reconcile": func(t *rapid.T) { m.reconcile(t) },
		"reconcile until nothing is left": func(t *rapid.T) {
			for range 20 {
				if a := m.reconcile(t); a.Kind == session.KindWait || a.Kind == session.KindNone {
					return
				}
			}
		},
		"time passes": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second)
		},
		"the leader changes": func(*rapid.T) { m.leader = m.now },
		"it is scaled": func(t *rapid.T) {
			n := rapid.IntRange(1, 3).Draw(t, "replicas")
			if m.wanted = n; !m.single {
				m.scale(n)
			}
		},
		"a pod comes up": func(t *rapid.T) { m.spawn(rapid.SampledFrom(m.hostNames()).Draw(t, "host")) },
		"an init-container starts": func(t *rapid.T) {
			// It may be run again after it is done: its node was rebooted.
			if p := m.anyPod(t); p.Stamp != "" {
				p.Agent, m.placed[p.UID] = true, true
			}
		},
		"an init-container ends": func(t *rapid.T) { m.anyPod(t).Agent = false },
		"a pod is being deleted": func(t *rapid.T) { m.anyPod(t).Ending = true },
		"a pod dies":             func(t *rapid.T) { m.anyPod(t).Dead = true },
		"a stranger comes": func(t *rapid.T) {
			m.strangers = []string{rapid.SampledFrom([]string{"s", "c-host-0"}).Draw(t, "claim")}
		},
		"strangers go":    func(*rapid.T) { m.strangers = nil },
		"a backup begins": func(*rapid.T) { m.backup = "shop-1" },
		"backups end":     func(*rapid.T) { m.backup = "" },
		"an agent begins": func(t *rapid.T) {
			if _, a := m.pick(t); a != nil && a.Lost == nil {
				if session.DefaultLimits().Exhausted(*a) {
					a.Lost = &metav1.Time{Time: m.now} // as the broker does
					return
				}
				a.Acknowledged, a.LastSeen = &metav1.Time{Time: m.now}, &metav1.Time{Time: m.now}
				a.Starts++
			}
		},
		"an agent is killed for the last time": func(t *rapid.T) {
			if task, a := m.pick(t); a != nil && a.Lost == nil {
				a.Starts, a.Lost = session.DefaultLimits().Starts, &metav1.Time{Time: m.now}
				m.pod(task.PodUID).Agent = false
			}
		},
		"a volume hangs": func(t *rapid.T) {
			if task, a := m.pick(t); a != nil && a.Lost == nil {
				m.hung[task.PodUID] = true
			}
		},
		"an agent lives": func(t *rapid.T) {
			if _, a := m.pick(t); a != nil {
				revive(a, protocol.RoleInit, metav1.NewTime(m.now))
			}
		},
		"restic goes on": func(t *rapid.T) {
			if _, a := m.pick(t); a != nil {
				a.Progress = &v1beta1.Progress{Time: metav1.NewTime(m.now)}
			}
		},
		"a pod is restored": func(t *rapid.T) {
			task, _ := m.pick(t)
			m.result(t, task, protocol.Result{})
		},
		"a restore fails":      func(t *rapid.T) { task, _ := m.pick(t); m.result(t, task, failure) },
		"a restore is stopped": func(t *rapid.T) { task, _ := m.pick(t); m.result(t, task, canceled) },
		"a search ends":        func(*rapid.T) { m.found() },
		"a search fails": func(t *rapid.T) {
			if session.Searching(m.rs.Status) {
				reason := rapid.SampledFrom([]restic.Reason{restic.ReasonUnreachable, restic.ReasonOther, restic.ReasonWrongPassword}).Draw(t, "reason")
				session.SearchFailed(&m.rs.Status, string(reason), "no", 1, metav1.NewTime(m.now))
			}
		},
		"": m.check,
	}
}

func (m *restoreModel) scale(hosts int) {
	m.hosts = hosts
	for i := range m.pods {
		if !slices.Contains(m.hostNames(), m.pods[i].host) {
			m.pods[i].Ending = true
		}
	}
}

func rank(p v1beta1.RestorePhase) int {
	switch p {
	case "", v1beta1.RestorePending:
		return 0
	case v1beta1.RestoreRunning:
		return 1
	default:
		return 2
	}
}

func (m *restoreModel) check(t *rapid.T) {
	st := m.rs.Status
	if rank(st.Phase) < rank(m.phase) || rank(m.phase) == 2 && st.Phase != m.phase {
		t.Fatalf("%q follows %q", st.Phase, m.phase)
	}
	if len(st.Pinned) < len(m.pinned) || !slices.Equal(st.Pinned[:len(m.pinned)], m.pinned) {
		t.Fatalf("what was chosen changed: %+v, then %+v", m.pinned, st.Pinned)
	}
	m.phase, m.pinned = st.Phase, slices.Clone(st.Pinned)
	if session.RestoreFinished(st.Phase) {
		last := st.DeepCopy()
		last.Assignments, last.Progress = nil, "" // agents may still say that they live
		if m.last != nil && !equalStatus(m.last, last) {
			t.Fatalf("it changed after its end: %+v, then %+v", m.last, last)
		}
		m.last = last
	}
	seen := map[string]bool{}
	for _, s := range st.Stats {
		if seen[s.Hostname] {
			t.Fatalf("two results of %s: %+v", s.Hostname, st.Stats)
		}
		seen[s.Hostname] = true
	}
	if st.Hash != "" && !api.IsTrue(st.Conditions, api.SnapshotsPinned) {
		t.Fatalf("the target was touched before the snapshots were chosen")
	}
}

// Whatever agents, pods and leaders do to a restore: nothing is written under a pod that lives, nothing
// is restored twice, phases go forward, and it ends.
func TestARestoreEndsWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timeOut := rapid.Bool().Draw(t, "it has a timeOut")
		m := newRestoreModel(t, timeOut)
		for range rapid.IntRange(0, 12).Draw(t, "steps before anything goes wrong") {
			m.step(t)
		}
		t.Repeat(m.actions())
		if timeOut {
			m.silence(t)
		} else {
			m.fairness(t)
		}
		if !session.RestoreFinished(m.rs.Status.Phase) {
			t.Fatalf("it still runs after %s: %+v, pods %+v", m.now.Sub(noon()), m.rs.Status, m.pods)
		}
	})
}

// silence is nobody saying anything any more: the timeOut ends the restore.
func (m *restoreModel) silence(t *rapid.T) {
	for range 500 {
		if session.RestoreFinished(m.rs.Status.Phase) {
			return
		}
		switch a := m.reconcile(t); a.Kind {
		case session.KindWait, session.KindPin, session.KindDeletePods, session.KindClose:
			m.now = m.now.Add(time.Minute)
		default:
		}
		m.check(t)
	}
}

// fairness is everybody doing what he should from now on.
func (m *restoreModel) fairness(t *rapid.T) {
	m.strangers, m.backup = nil, ""
	if m.some != nil { // a host that rules name may have been scaled away
		m.scale(3)
	}
	for range 300 {
		if session.RestoreFinished(m.rs.Status.Phase) {
			return
		}
		m.step(t)
		for _, a := range slices.Clone(m.rs.Status.Assignments) {
			switch {
			case m.pod(a.PodUID).Dead || a.Lost != nil:
			case m.hung[a.PodUID]:
				i := slices.IndexFunc(m.rs.Status.Assignments, func(b v1beta1.Assignment) bool { return b.ID == a.ID })
				revive(&m.rs.Status.Assignments[i], protocol.RoleInit, metav1.NewTime(m.now))
			case a.Cancelled:
				m.result(t, a, protocol.Result{Error: "canceled", Reason: protocol.ReasonCanceled})
			default:
				m.result(t, a, protocol.Result{})
			}
		}
	}
}

// step is what happens where nothing goes wrong, but for results.
func (m *restoreModel) step(t *rapid.T) {
	m.reconcile(t)
	m.check(t)
	m.found()
	m.now = m.now.Add(10 * time.Second)
	for i := range m.pods {
		p := &m.pods[i]
		p.Dead = p.Dead || p.Ending
		m.placed[p.UID] = true
		p.Agent = !p.Dead && p.Stamp != "" && !m.done[p.UID] && !m.wish().Leaves(p.host)
	}
	for _, h := range m.hostNames() {
		m.spawn(h)
	}
}
