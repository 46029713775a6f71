package controller

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/mutators"
)

// crowd is a session of many hosts, each of which has its pod and its agent at work.
func crowd(hosts int) *v1beta1.BackupSession {
	bs := running()
	t := &bs.Status.Targets[0]
	t.Assignments, t.TotalHosts = nil, new(int32(hosts))
	for i := range hosts {
		t.Assignments = append(t.Assignments, v1beta1.Assignment{
			ID: fmt.Sprintf("s1/host-%d/1", i), Hostname: fmt.Sprintf("host-%d", i), Pod: fmt.Sprintf("db-%d", i), PodUID: fmt.Sprintf("p%d", i),
			Attempt: 1, StartTime: ago(time.Minute), Acknowledged: agoP(time.Minute), LastSeen: agoP(time.Minute),
		})
	}
	return bs
}

// Each agent reports progress every second. All of that goes into one object, each write of which every
// replica sees, for the agents that are connected to it. Before, 20 seconds of 100 hosts were 700 writes,
// each told to 100 streams: 70,000 looks at the session with its 100 assignments.
func TestManyHostsDoNotFloodTheirSession(t *testing.T) {
	const hosts, seconds = 100, 20
	writes, told := 0, 0
	stored := crowd(hosts)
	var g *Agents
	w := newWorld(t, interceptor.Funcs{ // the fake API server takes a tenth of a second for each write
		Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
			if into, ok := obj.(*v1beta1.BackupSession); ok {
				stored.DeepCopyInto(into)
			}
			return nil
		},
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			if into, ok := list.(*v1beta1.BackupSessionList); ok {
				into.Items = []v1beta1.BackupSession{*stored}
			}
			return nil
		},
		SubResourceUpdate: func(_ context.Context, _ client.Client, _ string, obj client.Object, _ ...client.SubResourceUpdateOption) error {
			writes++
			told += len(g.ConcernedPods(stored, obj))
			if bs, ok := obj.(*v1beta1.BackupSession); ok {
				stored = bs
			}
			return nil
		},
	})
	w.Live = w.Client
	g = NewAgents(w)
	now := noon()
	w.Now = func() time.Time { return now }
	for second := range seconds {
		now = noon().Add(time.Duration(second) * time.Second)
		for i := range hosts {
			err := g.Progress(t.Context(), sidecar(fmt.Sprintf("db-%d", i), fmt.Sprintf("p%d", i)), protocol.Progress{ID: fmt.Sprintf("s1/host-%d/1", i), BytesDone: int64(second)})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d hosts in %d seconds: %d writes, %d streams told", hosts, seconds, writes, told)
	if writes > 2*hosts || told > 0 {
		t.Errorf("%d writes, %d streams told", writes, told)
	}
}

func TestProgressIsNeverTooRareToShowThatResticGoesOn(t *testing.T) {
	p := progressTimes{}
	for writers, want := range map[int]time.Duration{0: progressEvery, 1: progressEvery, 100: 10 * time.Second, 5000: time.Minute} {
		now := noon()
		p.forget("x")
		if !p.due("x", now) {
			t.Fatal("the first report is dropped")
		}
		p.share("x", writers)
		if p.due("x", now.Add(want-time.Second)) || !p.due("x", now.Add(want)) {
			t.Errorf("with %d agents it is not written every %s", writers, want)
		}
	}
}

// What is an order to an agent is told to it at once, and to nobody else.
func TestOnlyPodsWithOtherOrdersAreTold(t *testing.T) {
	now := metav1.NewTime(noon())
	bs, rs := crowd(3), restoring()
	var pods []client.Object
	for _, uid := range []string{"p8", "p9"} {
		pods = append(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: uid, UID: types.UID(uid), Labels: map[string]string{api.LabelRestore: mutators.HashRestore("q1")}}})
	}
	w := newWorld(t, interceptor.Funcs{}, pods...)
	w.Limits.Starts = 3
	first := func(bs *v1beta1.BackupSession) *v1beta1.Assignment { return &bs.Status.Targets[0].Assignments[0] }
	repo := repository()
	repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", PodUID: "pw"}
	for name, c := range map[string]struct {
		before, after client.Object
		change        any
		want          []string
	}{
		"a new session":     {nil, bs, nil, []string{"p0", "p1", "p2"}},
		"progress":          {bs, bs.DeepCopy(), func(bs *v1beta1.BackupSession) { first(bs).Progress = &v1beta1.Progress{BytesDone: 1} }, nil},
		"a sign of life":    {bs, bs.DeepCopy(), func(bs *v1beta1.BackupSession) { first(bs).LastSeen = &now }, nil},
		"work held back":    {bs, bs.DeepCopy(), func(bs *v1beta1.BackupSession) { first(bs).Held = &now }, nil},
		"one to be stopped": {bs, bs.DeepCopy(), func(bs *v1beta1.BackupSession) { first(bs).Cancelled = true }, []string{"p0"}},
		"one that is lost":  {bs, bs.DeepCopy(), func(bs *v1beta1.BackupSession) { first(bs).Lost = &now }, []string{"p0"}},
		"too many starts":   {bs, bs.DeepCopy(), func(bs *v1beta1.BackupSession) { first(bs).Starts = 3 }, []string{"p0"}},
		"another attempt":   {bs, bs.DeepCopy(), func(bs *v1beta1.BackupSession) { first(bs).ID, first(bs).PodUID = "s1/host-0/2", "p7" }, []string{"p7"}},
		"a result": {bs, bs.DeepCopy(), func(bs *v1beta1.BackupSession) {
			bs.Status.Targets[0].Assignments = bs.Status.Targets[0].Assignments[1:]
		}, nil},
		"a new restore":            {nil, rs, nil, []string{"p8", "p9"}},
		"progress of a restore":    {rs, rs.DeepCopy(), func(rs *v1beta1.RestoreSession) { rs.Status.Assignments[1].Progress = &v1beta1.Progress{} }, nil},
		"a restore to be stopped":  {rs, rs.DeepCopy(), func(rs *v1beta1.RestoreSession) { rs.Status.Assignments[1].Cancelled = true }, []string{"p9"}},
		"a restore that failed":    {rs, rs.DeepCopy(), func(rs *v1beta1.RestoreSession) { rs.Status.Phase = v1beta1.RestoreFailed }, []string{"p8", "p9"}},
		"a restore waits for else": {rs, rs.DeepCopy(), func(rs *v1beta1.RestoreSession) { rs.Status.Reason = "else" }, []string{"p8", "p9"}},
		"a pod that is restored": {rs, rs.DeepCopy(), func(rs *v1beta1.RestoreSession) {
			rs.Status.Restored = []v1beta1.RestoredHost{{PodUID: "p9"}}
		}, []string{"p8", "p9"}},
		"new work":            {repository(), repo, nil, []string{"pw"}},
		"the same work still": {repo.DeepCopy(), repo, nil, nil},
	} {
		switch change := c.change.(type) {
		case func(*v1beta1.BackupSession):
			if bs, ok := c.after.(*v1beta1.BackupSession); ok {
				change(bs)
			}
		case func(*v1beta1.RestoreSession):
			if rs, ok := c.after.(*v1beta1.RestoreSession); ok {
				change(rs)
			}
		}
		var before any
		if c.before != nil {
			before = c.before
		}
		got := w.ConcernedPods(before, c.after)
		if slices.Sort(got); !cmp.Equal(got, c.want) {
			t.Errorf("%s: %q are told, want %q", name, got, c.want)
		}
	}
}

// An init-container that waits is answered from the cache; before it is given credentials the API
// server is asked.
func TestARestoresTaskIsHandedOutOnlyWhileItIsThePods(t *testing.T) {
	rs := restoring()
	rs.Status.Pinned = []v1beta1.PinnedSnapshot{{Hostname: "host-0", ID: "aa", Path: "/data"}}
	reads := 0
	w := newWorld(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		if _, ok := obj.(*v1beta1.RestoreSession); ok {
			reads++
		}
		return c.Get(ctx, key, obj, opts...)
	}}, rs.DeepCopy(), repository(), keys())
	g := NewAgents(w)
	has := func(string) bool { return false }
	if o, err := g.Orders(t.Context(), initContainer("p5"), has); err != nil || o.Wait == "" || reads > 0 {
		t.Errorf("a pod that waits: %+v, %v, %d reads", o, err, reads)
	}
	if o, err := g.Orders(t.Context(), initContainer("p9"), func(string) bool { return true }); err != nil || reads > 0 {
		t.Errorf("a pod at work: %+v, %v, %d reads", o, err, reads)
	}
	if o, err := g.Orders(t.Context(), initContainer("p9"), has); err != nil || len(o.Tasks) != 1 {
		t.Errorf("a pod that begins: %+v, %v", o, err)
	}
	gone := rs.DeepCopy()
	gone.Status.Assignments[1].Lost = agoP(time.Second)
	w.Live = merging{newWorld(t, interceptor.Funcs{}, gone).Client} // what the cache does not know yet
	if o, err := g.Orders(t.Context(), initContainer("p9"), has); err != nil || len(o.Tasks) > 0 {
		t.Errorf("a pod whose work was given up: %+v, %v", o, err)
	}
}
