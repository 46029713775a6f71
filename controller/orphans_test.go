package controller

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
)

func TestWhatNobodyWantsAnyMoreIsStopped(t *testing.T) {
	tasks := []string{"gone/host-0/1", "s1/host-0/1"}
	worker := sidecar("db-0", "p0")
	worker.Role = protocol.RoleWorker
	for name, c := range map[string]struct {
		id            broker.Identity
		cached, lives []client.Object
		want          []string
	}{
		"a session was deleted":                       {sidecar("db-0", "p0"), []client.Object{running()}, nil, []string{"gone/host-0/1"}},
		"a session is not known here yet":             {sidecar("db-0", "p0"), nil, []client.Object{running()}, []string{"gone/host-0/1"}},
		"a worker's tasks are not those of a session": {worker, nil, nil, nil},
		"all sessions were deleted":                   {sidecar("db-0", "p0"), nil, nil, tasks},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, c.cached...)
			if c.lives != nil {
				w.Live = newWorld(t, interceptor.Funcs{}, c.lives...).Live
			}
			got, err := NewAgents(w).Orphans(t.Context(), c.id, tasks)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// All sessions are listed for all agents at once, whatever they name, and not for each.
func TestAgentsShareTheListOfSessions(t *testing.T) {
	lists, broken, now := 0, false, noon()
	w := newWorld(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if _, all := list.(*metav1.PartialObjectMetadataList); all {
			if lists++; broken {
				return errors.New("the API server is busy")
			}
		}
		return c.List(ctx, list, opts...)
	}})
	w.Now = func() time.Time { return now }
	g := NewAgents(w)
	asks := func(wantLists int, want []string, tasks ...string) {
		t.Helper()
		got, err := g.Orphans(t.Context(), sidecar("db-0", "p0"), tasks)
		if (err != nil) != broken || !slices.Equal(got, want) || lists != wantLists {
			t.Errorf("%q, %v, after %d lists; want %q after %d", got, err, lists, want, wantLists)
		}
	}
	asks(1, []string{"a/h/1", "b/h/1"}, "a/h/1", "b/h/1")
	now = now.Add(time.Second)
	asks(1, []string{"a/h/2"}, "a/h/2")
	// It was asked for after the list began, and may have been made since.
	asks(1, nil, "c/h/1")
	asks(1, []string{"a/h/1"}, "a/h/1", "d/h/1")
	now = now.Add(5 * time.Second)
	asks(2, []string{"c/h/1", "d/h/1"}, "c/h/1", "d/h/1")
	// What could not be listed is not gone.
	broken, now = true, now.Add(time.Minute)
	asks(3, nil, "e/h/1")
	broken, now = false, now.Add(time.Minute)
	asks(4, []string{"e/h/1"}, "e/h/1")
}

func TestWhatIsMissedIsBounded(t *testing.T) {
	m := &missedSessions{}
	for i := range maxMissed + 10 {
		m.ask(time.Duration(i).String(), noon())
	}
	if len(m.begin(noon())) != maxMissed {
		t.Errorf("%d are looked for", len(m.asked))
	}
	m.ask("late", noon())
	m.end(map[string]bool{"1ns": true, "late": true}, noon().Add(2*time.Second), true)
	if !m.gone("1ns") || m.gone("late") || len(m.asked) != 1 {
		t.Errorf("%d are known", len(m.asked))
	}
	// A list that takes long is made seldom.
	m.ask("x", noon().Add(3*time.Second))
	if n := len(m.begin(noon().Add(21 * time.Second))); n != 0 {
		t.Errorf("%d are looked for too soon", n)
	}
	if n := len(m.begin(noon().Add(22 * time.Second))); n != 1 {
		t.Errorf("%d are looked for", n)
	}
	m.end(nil, noon().Add(23*time.Second), true)
	if m.begin(noon().Add(6 * time.Minute)); len(m.asked) != 0 {
		t.Errorf("%d are kept", len(m.asked))
	}
}
