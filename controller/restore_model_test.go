package controller

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
)

// restoreModel is a workload under restore, where everything can happen.
type restoreModel struct {
	rs *v1beta1.RestoreSession
	// single tells that it is a Deployment: all pods are one host.
	single bool
	// nodes tells that it is a DaemonSet: its hosts are nodes, and its pods come to be on them.
	nodes bool
	// placed are the pods that are on their nodes.
	placed map[string]bool
	// own and shared tell which claims its pods mount.
	own, shared bool
	// empty tells that each pod has an emptyDir of its own that is restored.
	empty bool
	// some are the hosts that the rules name; nil: they name none, and hold for all.
	some   []string
	hosts  int
	wanted int // pods of a Deployment
	// backedUp are the hosts that the repository has snapshots of.
	backedUp map[string]bool
	pods     []modelPod
	// strangers are claims that living pods of others mount.
	strangers []string
	backup    string
	stamped   bool
	tasks     []v1beta1.Assignment // all that were ever given away
	now       time.Time
	leader    time.Time
	created   int

	// What was seen, to be held against what follows.
	phase  v1beta1.RestorePhase
	pinned []v1beta1.PinnedSnapshot
	done   map[string]bool // pods that were restored
	hung   map[string]bool // pods whose volumes hang: their agents live, and nothing ends
	last   *v1beta1.RestoreSessionStatus
}

func newRestoreModel(t *rapid.T, timeOut bool) *restoreModel {
	m := &restoreModel{
		rs: restoring(), single: rapid.Bool().Draw(t, "one host"), own: rapid.Bool().Draw(t, "own claims"), shared: rapid.Bool().Draw(t, "a shared claim"),
		empty: rapid.Bool().Draw(t, "volumes of their own"), hosts: rapid.IntRange(1, 3).Draw(t, "hosts"), wanted: rapid.IntRange(1, 3).Draw(t, "replicas"),
		backedUp: map[string]bool{"host-0": true},
		now:      noon(), leader: noon(), done: map[string]bool{}, hung: map[string]bool{}, placed: map[string]bool{},
	}
	if m.single {
		m.own, m.hosts = false, 1
	} else {
		m.nodes = rapid.Bool().Draw(t, "hosts are nodes")
	}
	for _, h := range []string{"host-1", "host-2"} {
		m.backedUp[h] = rapid.Bool().Draw(t, h+" was backed up")
	}
	m.rs.Status, m.rs.CreationTimestamp = v1beta1.RestoreSessionStatus{}, ago(0)
	if !m.single && rapid.Bool().Draw(t, "rules name hosts") {
		m.some = []string{"host-0", "host-1", "host-2"}[rapid.IntRange(0, 2).Draw(t, "from"):][:1]
	}
	m.rs.Spec.Target.Rules = []v1beta1.Rule{{TargetHosts: m.some}}
	if timeOut {
		m.rs.Spec.TimeOut = &metav1.Duration{Duration: time.Hour}
	}
	for _, h := range m.hostNames() {
		m.spawn(h)
	}
	for _, p := range m.pods {
		m.placed[p.UID] = true
	}
	return m
}

// seen are the hosts that show: of a DaemonSet nobody tells but its pods, and what was chosen before.
func (m *restoreModel) seen() []string {
	if !m.nodes {
		return m.hostNames()
	}
	var bound []string
	for _, p := range m.pods {
		if !p.Dead && m.placed[p.UID] && !slices.Contains(bound, p.host) {
			bound = append(bound, p.host)
		}
	}
	return session.NodeHosts(bound, m.rs.Status.Pinned, func(h string) bool { return slices.Contains(m.hostNames(), h) })
}

func (m *restoreModel) hostNames() []string {
	return []string{"host-0", "host-1", "host-2"}[:m.hosts]
}

// wish is what the restore says; hosts are apart where no volume is anybody else's or ends with its pod.
func (m *restoreModel) wish() session.Wish {
	return session.Wish{Rules: m.rs.Spec.Target.Rules, Apart: m.own && !m.shared && !m.empty}
}

// wants is how many pods the workload wants.
func (m *restoreModel) wants() int32 {
	if m.single {
		return int32(m.wanted)
	}
	return int32(m.hosts)
}

func (m *restoreModel) hash() string { return mutators.HashRestore(string(m.rs.UID)) }

// spawn makes a pod as the workload's controller does, where the hooks let it.
func (m *restoreModel) spawn(host string) {
	same := 0
	for _, p := range m.pods {
		if p.host == host && !p.Dead {
			same++
		}
	}
	refused := m.rs.Status.Hash != "" && !m.stamped
	if refused || !m.single && same > 0 || same > 2 || !slices.Contains(m.hostNames(), host) {
		return
	}
	m.created++
	p := session.Pod{Name: host, UID: fmt.Sprintf("p%d", m.created), Injected: true, Created: m.now, Own: m.empty}
	if m.stamped {
		p.Stamp = m.hash()
	}
	if m.own {
		p.Claims = append(p.Claims, "c-"+host)
	}
	if m.shared {
		p.Claims = append(p.Claims, "s")
	}
	m.pods = append(m.pods, modelPod{host, p})
}

// foreign names a living pod without this restore's stamp on one of the claims.
func (m *restoreModel) foreign(p session.Pod) string {
	for _, c := range p.Claims {
		if slices.Contains(m.strangers, c) {
			return "a stranger"
		}
		for _, q := range m.pods {
			if q.UID != p.UID && !q.Dead && q.Stamp != m.hash() && slices.Contains(q.Claims, c) {
				return q.Name
			}
		}
	}
	return ""
}

func (m *restoreModel) observe() *session.Restore {
	o := &session.Restore{
		Session: m.rs, Repository: repository(), Initialized: true, TargetFound: true, HostNames: m.seen(), Nodes: m.nodes, Backups: m.backup,
		Some: m.wish().Some(), Wanted: m.wants(), Own: m.empty, Closed: m.rs.Status.Hash != "", Stamped: m.stamped, Pods: map[string]session.Pod{}, LeaderSince: m.leader, Limits: session.DefaultLimits(),
	}
	o.HostNames, o.LeftAlone = m.wish().Split(o.HostNames)
	for _, p := range m.pods {
		if p.Dead || m.wish().Leaves(p.host) {
			continue
		}
		for _, c := range p.Claims {
			if m.rs.Status.Hash == "" && slices.Contains(m.strangers, c) {
				o.Foreign = "a stranger"
			}
		}
	}
	for _, p := range m.pods {
		switch {
		case m.wish().Leaves(p.host) && (!m.nodes || m.placed[p.UID]):
		case p.Dead:
			o.Pods[p.UID] = p.Pod
		case p.Stamp != m.hash():
			o.OldPods = append(o.OldPods, p.Pod)
		default:
			if p.Agent {
				p.Shared = m.foreign(p.Pod)
			}
			o.Pods[p.UID] = p.Pod
			switch {
			case p.Ending:
			case m.nodes && !m.placed[p.UID]:
				o.Unplaced = append(o.Unplaced, p.Pod)
			default:
				o.Hosts = addHost(o.Hosts, p.host, p.Pod)
			}
		}
	}
	return o
}

func (m *restoreModel) reconcile(t *rapid.T) session.Action {
	o := m.observe()
	a := session.NextRestore(o, m.now)
	if again := session.NextRestore(o, m.now); a.Kind != again.Kind {
		t.Fatalf("a second look decides otherwise: %s, %s", a.Kind, again.Kind)
	}
	for _, x := range a.Assignments {
		m.checkAssignment(t, x)
	}
	if a.Kind == session.KindNone {
		return a
	}
	recordRestore(m.rs, o, a, metav1.NewTime(m.now))
	m.tasks = append(m.tasks, a.Assignments...)
	switch a.Kind {
	case session.KindClose:
		if o.Foreign != "" {
			t.Fatalf("the target goes down while %s mounts its volumes", o.Foreign)
		}
	case session.KindStamp:
		m.stamped = true
	case session.KindFinish:
		m.checkEnd(t)
	case session.KindDeletePods:
		for _, p := range a.Pods {
			m.pod(p.UID).Ending = true
		}
	default:
	}
	return a
}

// checkAssignment holds what is given away to what must never be.
func (m *restoreModel) checkAssignment(t *rapid.T, x v1beta1.Assignment) {
	p := m.pod(x.PodUID)
	switch {
	case p.Dead || p.Stamp != m.hash():
		t.Fatalf("%s goes to a pod that is dead or not of this restore: %+v", x.ID, p)
	case m.foreign(p.Pod) != "":
		t.Fatalf("%s writes under %s", x.ID, m.foreign(p.Pod))
	case m.done[p.UID]:
		t.Fatalf("%s restores a pod twice", x.ID)
	case session.DefaultLimits().Exhausted(x):
		t.Fatalf("%s was begun %d times", x.ID, x.Starts)
	case !slices.ContainsFunc(m.rs.Status.Pinned, func(s v1beta1.PinnedSnapshot) bool { return s.Hostname == x.Hostname }):
		t.Fatalf("%s has nothing to restore", x.ID)
	}
	for _, q := range m.pods {
		if m.wish().Leaves(q.host) && !q.Dead && (q.host == p.host || intersect(q.Claims, p.Claims)) {
			t.Fatalf("%s writes under %s, which was left alone", x.ID, q.UID)
		}
	}
	for _, a := range m.rs.Status.Assignments {
		if q := m.pod(a.PodUID); a.Lost == nil && (q.UID == p.UID || !q.Dead && intersect(q.Claims, p.Claims)) {
			t.Fatalf("%s and %s write at once", x.ID, a.ID)
		}
	}
	if !p.Own && len(p.Claims) > 0 && !slices.ContainsFunc(p.Claims, func(c string) bool { return !m.claimDone(c) }) {
		t.Fatalf("%s restores volumes twice", x.ID)
	}
}

// checkEnd: a success is one of all that the workload is to have, and no pod of it waits.
func (m *restoreModel) checkEnd(t *rapid.T) {
	if len(m.rs.Status.Restored) == 0 {
		t.Fatal("it succeeds, and nothing was restored")
	}
	for _, h := range m.hostNames() {
		if !m.wish().Leaves(h) && !slices.ContainsFunc(m.rs.Status.Stats, func(s v1beta1.HostRestoreStats) bool {
			return s.Hostname == h && s.Phase == v1beta1.HostRestoreSucceeded
		}) {
			t.Fatalf("it succeeds without %s", h)
		}
	}
	var ready int32
	for _, p := range m.pods {
		switch {
		case p.Dead || p.Ending || p.Stamp != m.hash() || m.wish().Leaves(p.host):
		case m.done[p.UID] || !p.Own && len(p.Claims) > 0 && !slices.ContainsFunc(p.Claims, func(c string) bool { return !m.claimDone(c) }):
			ready++
		default:
			t.Fatalf("it succeeds, and pod %s waits for its data", p.UID)
		}
	}
	if m.empty && ready < m.wants() {
		t.Fatalf("it succeeds with %d of %d pods: the next ones start empty", ready, m.wants())
	}
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

func (m *restoreModel) claimDone(claim string) bool {
	return slices.ContainsFunc(m.rs.Status.Restored, func(r v1beta1.RestoredHost) bool { return slices.Contains(r.Claims, claim) })
}

func (m *restoreModel) pod(uid string) *modelPod {
	return &m.pods[slices.IndexFunc(m.pods, func(p modelPod) bool { return p.UID == uid })]
}

// anyPod draws a pod that lives.
func (m *restoreModel) anyPod(t *rapid.T) *modelPod {
	var alive []string
	for _, p := range m.pods {
		if !p.Dead {
			alive = append(alive, p.UID)
		}
	}
	if len(alive) == 0 {
		t.Skip("no pod lives")
	}
	return m.pod(rapid.SampledFrom(alive).Draw(t, "pod"))
}

// pick draws a task that was given to a pod that lives, and its assignment if it still is.
func (m *restoreModel) pick(t *rapid.T) (v1beta1.Assignment, *v1beta1.Assignment) {
	alive := slices.DeleteFunc(slices.Clone(m.tasks), func(a v1beta1.Assignment) bool { return m.pod(a.PodUID).Dead || m.hung[a.PodUID] })
	if len(alive) == 0 {
		t.Skip("nobody has work")
	}
	task := rapid.SampledFrom(alive).Draw(t, "task")
	for i := range m.rs.Status.Assignments {
		if m.rs.Status.Assignments[i].ID == task.ID {
			return task, &m.rs.Status.Assignments[i]
		}
	}
	return task, nil
}

// result is what the agent of a task says, as the broker takes it.
func (m *restoreModel) result(t *rapid.T, task v1beta1.Assignment, r protocol.Result) {
	p := m.pod(task.PodUID)
	r.ID = task.ID
	has := slices.ContainsFunc(m.rs.Status.Assignments, func(a v1beta1.Assignment) bool { return a.PodUID == p.UID })
	_, news, err := recordRestored(m.rs, r, v1beta1.RestoredHost{Hostname: task.Hostname, PodUID: p.UID, Claims: p.Claims, Time: metav1.NewTime(m.now)}, metav1.NewTime(m.now))
	if r.Error != "" || err != nil {
		return
	}
	switch {
	case news && m.done[p.UID]:
		t.Fatalf("pod %s was restored twice", p.UID)
	case !news && has && !session.RestoreFinished(m.rs.Status.Phase):
		t.Fatalf("pod %s was restored, and nobody knows", p.UID)
	case !news:
		return
	}
	for _, a := range m.rs.Status.Assignments {
		if q := m.pod(a.PodUID); a.Lost == nil && !q.Dead && intersect(p.Claims, q.Claims) {
			t.Fatalf("pod %s may start while %s is restored under it", p.UID, q.UID)
		}
	}
	m.done[p.UID], p.Agent = true, false
}

// found is the answer to a search.
func (m *restoreModel) found() {
	if !session.Searching(m.rs.Status) {
		return
	}
	var found []session.Found
	for h, ok := range m.backedUp {
		if ok {
			found = append(found, session.Found{ID: "of-" + h, Host: h, Paths: []string{"/data"}, Time: noon()})
		}
	}
	session.Choose(&m.rs.Status, m.wish(), m.seen(), found, 1, metav1.NewTime(m.now))
}
