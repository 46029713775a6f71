package controller

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// agentPod is a pod in which an agent runs since then.
func agentPod(namespace, name, uid string, phase corev1.PodPhase, since time.Duration) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid), CreationTimestamp: ago(since)},
		Status: corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{
			Name: api.ContainerSidecar, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(since)}},
		}}},
	}
}

// dies tells whether a lock of a hostname, last renewed that long ago, is told to be dead.
func dies(dead []protocol.DeadLocks, hostname string, age time.Duration) bool {
	lock := restic.Lock{Hostname: hostname, Time: noon().Add(-age)}
	return slices.ContainsFunc(dead, func(d protocol.DeadLocks) bool { return d.Has(lock) })
}

func TestALockIsDeadWhereNobodyMayHoldIt(t *testing.T) {
	const minute = time.Minute
	// Since when a pod held credentials, and when it ended or its restic began.
	held := func(dead, unique bool, since, before time.Duration) holding {
		return holding{v1alpha1.Holder{Pod: "db-0", Unique: unique, Since: agoP(since)}, dead, noon().Add(-before)}
	}
	old := held(true, false, 0, 20*minute)
	old.Since = nil
	for name, c := range map[string]struct {
		holders []holding
		age     time.Duration
		dead    bool
	}{
		"a pod that has ended":                             {[]holding{held(true, true, 60*minute, minute)}, 2 * minute, true},
		"its restic, which goes on where nobody sees it":   {[]holding{held(true, true, 60*minute, 30*minute)}, 10 * minute, false},
		"a stranger's, renewed a moment ago":               {[]holding{held(true, false, 60*minute, minute)}, 2 * minute, false},
		"a name that repeats, not renewed for long enough": {[]holding{held(true, false, 60*minute, 11*minute)}, 12 * minute, true},
		"a stranger's from before ours had credentials":    {[]holding{held(true, false, 30*minute, 12*minute)}, 40 * minute, false},
		"a stranger's from after ours had ended":           {[]holding{held(true, false, 60*minute, 20*minute)}, 14 * minute, false},
		"a pod that an older build recorded":               {[]holding{old}, 180 * minute, true},
		"a hostname of a living pod, too":                  {[]holding{held(true, false, 180*minute, 20*minute), held(false, false, 180*minute, 30*minute)}, 25 * minute, false},
		"which cannot hold one that is so old":             {[]holding{held(true, false, 180*minute, 20*minute), held(false, false, 180*minute, 30*minute)}, 35 * minute, true},
		"nor one from before it had credentials":           {[]holding{held(true, false, 180*minute, 20*minute), held(false, false, 15*minute, 30*minute)}, 25 * minute, true},
		"a restic that runs":                               {[]holding{held(false, true, 60*minute, 5*minute)}, 4 * minute, false},
		"one that was killed before it":                    {[]holding{held(false, true, 60*minute, 5*minute)}, 6 * minute, true},
		"a lock without a hostname":                        {[]holding{{v1alpha1.Holder{}, true, noon()}}, 60 * minute, false},
	} {
		hostname := "db-0"
		if c.holders[0].Pod == "" {
			hostname = ""
		}
		if got := dies(deadLocks(c.holders, noon()), hostname, c.age); got != c.dead {
			t.Errorf("%s: dead is %t", name, got)
		}
	}
}

// A cluster that restores from another one's repository has StatefulSets of the same names.
func TestLocksOfAnotherClusterAreNotTakenForDead(t *testing.T) {
	repo := repository()
	repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: v1alpha1.OperationUnlock}
	w := newWorld(t, interceptor.Funcs{}, repo)
	g := NewAgents(w)
	id := broker.Identity{Namespace: "demo", Pod: "db-0", PodUID: "first", Hostname: "db-0", Owner: broker.Owner{Kind: "StatefulSet"}}
	if err := w.holds(t.Context(), repo, id); err != nil {
		t.Fatal(err)
	}
	// An hour later another pod has its name.
	now := noon().Add(time.Hour)
	w.Now = func() time.Time { return now }
	next := agentPod("demo", "db-0", "next", corev1.PodRunning, -30*time.Minute)
	if err := w.Create(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	dead, err := g.lookAtLocks(t.Context(), read(t, w, "demo", "repo", &v1alpha1.Repository{}))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]bool{-time.Hour: false, 20 * time.Minute: true, 58 * time.Minute: false} {
		if got := dies(dead, "db-0", -at); got != want {
			t.Errorf("a lock of db-0, renewed %s after ours had credentials: dead is %t", at, got)
		}
	}
	st := read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status
	if h := st.Holders[0]; h.Gone == nil || !h.Gone.Equal(&next.CreationTimestamp) || st.LastUnlockTime == nil || !st.LastUnlockTime.Time.Equal(now) {
		t.Errorf("noted is %+v, looked at %v", st.Holders, st.LastUnlockTime)
	}
}

func TestAPodThatHeldCredentialsIsKnownDead(t *testing.T) {
	repo := repository()
	add := func(namespace, pod, uid, hostname string, unique bool) {
		repo.Status.Holders = append(repo.Status.Holders, v1alpha1.Holder{Namespace: namespace, Pod: pod, UID: uid, Hostname: hostname, Unique: unique, Since: agoP(24 * time.Hour)})
	}
	add("demo", "gone", "u1", "", true)
	add("demo", "ended", "u2", "", true)
	add("demo", "lives", "u3", "", true)
	add("else", "lives", "u4", "", true)
	add("demo", "db-0", "u5", "", false)
	add("demo", "agent-1", "u6", "node-1", false)
	add("demo", "agent-2", "u7", "node-2", false)
	add("demo", "lives", "u3", "node-2", false)
	repo.Status.Holders[0].Gone, repo.Status.Holders[5].Gone = agoP(time.Hour), agoP(time.Hour)
	w := newWorld(t, interceptor.Funcs{}, repo,
		agentPod("demo", "ended", "u2", corev1.PodFailed, 0), agentPod("demo", "lives", "u3", corev1.PodRunning, 24*time.Hour),
		agentPod("demo", "db-0", "next", corev1.PodRunning, 5*time.Minute))
	list, err := w.holdings(t.Context(), repo, true)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]time.Time{
		"gone":   noon().Add(-time.Hour),
		"ended":  noon(),
		"db-0":   noon(),
		"node-1": noon().Add(lockQuiet - time.Hour), // others may have the name
	}
	if d := cmp.Diff(want, deadHosts(list, noon())); d != "" {
		t.Error(d)
	}
	if at := list[2].before; list[2].dead || !at.Equal(noon().Add(-lockAge)) {
		t.Errorf("one that lives: %+v", list[2])
	}
	if at := list[4].before; !list[4].dead || !at.Equal(noon().Add(-5*time.Minute)) {
		t.Errorf("one whose name another has now: %+v", list[4])
	}
}

// A living agent that says that its restic has ended leaves no living lock behind.
func TestLocksFromBeforeAFailedRunAreDead(t *testing.T) {
	repo := repository()
	repo.Status.Holders = []v1alpha1.Holder{{Namespace: "demo", Pod: "lives", UID: "u1", Unique: true, Since: agoP(time.Hour), Ended: agoP(time.Minute)}}
	w := newWorld(t, interceptor.Funcs{}, repo, agentPod("demo", "lives", "u1", corev1.PodRunning, 2*time.Hour))
	list, err := w.holdings(t.Context(), repo, true)
	if err != nil {
		t.Fatal(err)
	}
	if dead := deadLocks(list, noon()); !dies(dead, "lives", 2*time.Minute) || dies(dead, "lives", time.Second) {
		t.Errorf("dead are %+v", dead)
	}
}
