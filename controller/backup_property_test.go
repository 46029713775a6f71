package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/session"
)

// backupModel is a StatefulSet under backup, where everything can happen.
type backupModel struct {
	bs      *v1beta1.BackupSession
	pods    []modelPod
	tasks   []v1beta1.Assignment // all that were ever given away
	now     time.Time
	leader  time.Time
	created int
	won     map[string]bool // hosts that succeeded
}

type modelPod struct {
	host string
	session.Pod
}

func (m *backupModel) spawn(host string) {
	m.created++
	m.pods = append(m.pods, modelPod{host, session.Pod{
		Name: host, UID: fmt.Sprintf("p%d", m.created), Agent: true, Ready: true, Injected: true,
	}})
}

func (m *backupModel) observe() *session.Backup {
	o := &session.Backup{
		Session: m.bs, Invoker: configuration(), Repository: repository(), Initialized: true,
		Pods: map[string]session.Pod{}, LeaderSince: m.leader, Limits: session.DefaultLimits(),
	}
	for _, p := range m.pods {
		o.Pods[p.UID] = p.Pod
		if !p.Dead {
			o.Hosts = addHost(o.Hosts, p.host, p.Pod)
		}
	}
	for _, name := range []string{"host-0", "host-1"} { // as withExpected does
		if len(o.Hosts) > 0 && !slices.ContainsFunc(o.Hosts, func(h session.Host) bool { return h.Name == name }) {
			o.Hosts = append(o.Hosts, session.Host{Name: name})
		}
	}
	return o
}

func (m *backupModel) reconcile() session.Action {
	o := m.observe()
	a := session.Next(o, m.now)
	switch a.Kind {
	case session.KindNone, session.KindRetry:
	case session.KindWait:
		waiting(m.bs, a, m.now)
	default:
		record(m.bs, o, a, m.now)
		m.tasks = append(m.tasks, a.Assignments...)
	}
	return a
}

// pick draws a task that was given away at any time, and its assignment if it still is.
func (m *backupModel) pick(t *rapid.T) (v1beta1.Assignment, *v1beta1.Assignment) {
	if len(m.tasks) == 0 {
		t.Skip("nothing was given away yet")
	}
	task := rapid.SampledFrom(m.tasks).Draw(t, "task")
	return task, findAssignment(m.bs, task.ID)
}

func (m *backupModel) result(t *rapid.T, phase v1beta1.HostBackupPhase) {
	task, _ := m.pick(t)
	recordResult(m.bs, v1beta1.HostBackupStats{Hostname: task.Hostname, Phase: phase}, report{task: task.ID, finished: m.now, now: m.now, limits: session.DefaultLimits()})
	if i := slices.IndexFunc(m.stats(), func(s v1beta1.HostBackupStats) bool { return s.Hostname == task.Hostname }); i >= 0 {
		m.won[task.Hostname] = m.won[task.Hostname] || m.stats()[i].Phase == v1beta1.HostBackupSucceeded
	}
}

func (m *backupModel) stats() []v1beta1.HostBackupStats {
	if len(m.bs.Status.Targets) == 0 {
		return nil
	}
	return m.bs.Status.Targets[0].Stats
}

func (m *backupModel) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"reconcile": func(*rapid.T) { m.reconcile() },
		"time passes": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second)
		},
		"the leader changes": func(*rapid.T) { m.leader = m.now },
		"an agent lives": func(t *rapid.T) {
			if _, a := m.pick(t); a != nil {
				revive(a, protocol.RoleSidecar, metav1.NewTime(m.now))
			}
		},
		"an agent is back without its work": func(t *rapid.T) {
			if _, a := m.pick(t); a != nil {
				session.Back(a, metav1.NewTime(m.now))
			}
		},
		"an agent begins": func(t *rapid.T) {
			if _, a := m.pick(t); a != nil && a.Lost == nil && !session.DefaultLimits().Exhausted(*a) {
				a.Starts++
			}
		},
		"a pod is being deleted": func(t *rapid.T) { m.pods[rapid.IntRange(0, len(m.pods)-1).Draw(t, "pod")].Ending = true },
		"restic goes on": func(t *rapid.T) {
			if _, a := m.pick(t); a != nil {
				a.Progress = &v1beta1.Progress{Time: metav1.NewTime(m.now)}
			}
		},
		"a host succeeds": func(t *rapid.T) { m.result(t, v1beta1.HostBackupSucceeded) },
		"a host fails":    func(t *rapid.T) { m.result(t, v1beta1.HostBackupFailed) },
		"a pod dies":      func(t *rapid.T) { m.pods[rapid.IntRange(0, len(m.pods)-1).Draw(t, "pod")].Dead = true },
		"a pod comes up":  func(t *rapid.T) { m.spawn(rapid.SampledFrom([]string{"host-0", "host-1"}).Draw(t, "host")) },
		"a search ends": func(*rapid.T) {
			if len(m.bs.Status.Targets) == 0 {
				return
			}
			for i := range m.bs.Status.Targets[0].Assignments {
				if a := &m.bs.Status.Targets[0].Assignments[i]; a.Lost != nil {
					a.Searched = true
				}
			}
		},
		"": m.check,
	}
}

func (m *backupModel) check(t *rapid.T) {
	seen := map[string]v1beta1.HostBackupPhase{}
	for _, s := range m.stats() {
		if _, twice := seen[s.Hostname]; twice {
			t.Fatalf("two results of %s: %+v", s.Hostname, m.stats())
		}
		seen[s.Hostname] = s.Phase
	}
	for host, won := range m.won {
		if won && seen[host] != v1beta1.HostBackupSucceeded {
			t.Fatalf("the success of %s was lost: %+v", host, m.stats())
		}
	}
	if len(m.bs.Status.Targets) > 0 {
		owners := map[string]bool{}
		for _, a := range m.bs.Status.Targets[0].Assignments {
			if owners[a.Hostname] {
				t.Fatalf("two pods back up %s: %+v", a.Hostname, m.bs.Status.Targets[0].Assignments)
			}
			owners[a.Hostname] = true
		}
	}
	if m.bs.Status.Phase == v1beta1.BackupSessionSucceeded && len(m.won) < 2 {
		t.Fatalf("it is a success, with %v", m.won)
	}
}

// Whatever agents, pods and leaders do: no session runs for ever, no host has two results or two
// pods, and no success is lost.
func TestABackupEndsWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &backupModel{bs: newSession(configuration(), "shop-1"), now: noon(), leader: noon(), won: map[string]bool{}}
		m.bs.UID, m.bs.CreationTimestamp = "s1", ago(0)
		m.spawn("host-0")
		m.spawn("host-1")
		t.Repeat(m.actions())
		// From now on nobody says anything.
		for range 500 {
			if session.Finished(m.bs.Status.Phase) {
				break
			}
			if a := m.reconcile(); a.Kind == session.KindWait {
				m.now = m.now.Add(time.Minute)
			}
			m.check(t)
		}
		if !session.Finished(m.bs.Status.Phase) {
			t.Fatalf("it still runs after %s: %+v", m.now.Sub(noon()), m.bs.Status)
		}
	})
}
