package broker_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
)

func task(id string) protocol.Task { return protocol.Task{ID: id} }

func TestATaskIsSentOnceAndAgainToAnAgentThatDoesNotHaveIt(t *testing.T) {
	o := &operator{orders: broker.Orders{Tasks: []protocol.Task{task("t1")}}}
	s, server := serve(t, o, nil)
	a := connect(t, server, protocol.Version)
	if d, _ := a.hear(); d.Task == nil || d.Task.ID != "t1" {
		t.Fatalf("first line is %+v", d)
	}
	a.say(protocol.Up{Accept: &protocol.Accept{ID: "t1"}})
	s.Notify("pod-1")
	o.set(broker.Orders{Tasks: []protocol.Task{task("t1"), task("t2")}})
	s.Notify("pod-1")
	if d, _ := a.hear(); d.Task == nil || d.Task.ID != "t2" {
		t.Fatalf("the task that the agent has was sent again, or t2 was not: %+v", d)
	}
	a.echo()
	if got := o.seen(&o.accepted); !cmp.Equal(got, []string{"t1"}) {
		t.Errorf("accepted %v", got)
	}
	a.close()

	// An agent that was restarted says that it has nothing; one that only reconnected has it.
	again := connect(t, server, protocol.Version, "t2")
	if d, _ := again.hear(); d.Task == nil || d.Task.ID != "t1" {
		t.Fatalf("got %+v, want t1 again", d)
	}
	if got := o.seen(&o.alive); len(got) != 1 || got[0] != "[t2]" {
		t.Errorf("told alive: %v", got)
	}
}

func TestAResultIsAcknowledgedOnlyWhenItIsStored(t *testing.T) {
	o := &operator{broken: errDown}
	_, server := serve(t, o, nil)
	a := connect(t, server, protocol.Version)
	a.say(protocol.Up{Result: &protocol.Result{ID: "t1"}})
	if d, ok := a.hear(); ok {
		t.Fatalf("got %+v though nothing was stored", d)
	}
	o.breaks(nil)
	again := connect(t, server, protocol.Version, "t1")
	again.say(protocol.Up{Result: &protocol.Result{ID: "t1"}})
	if d, _ := again.hear(); d.Ack != "t1" {
		t.Fatalf("got %+v, want the acknowledgement", d)
	}
	if got := o.seen(&o.results); !cmp.Equal(got, []string{"t1"}) {
		t.Errorf("stored %v", got)
	}
}

// restic's locks bear the hostname that the kernel has, which only the agent knows for certain.
func TestAnAgentKnowsItsHostnameBest(t *testing.T) {
	for said, want := range map[string]string{"node-1": "node-1", "": "app-x", strings.Repeat("x", 65): "app-x"} {
		o := &operator{orders: broker.Orders{Wait: "its turn"}}
		_, server := serve(t, o, nil)
		greet(t, server, protocol.Hello{Version: protocol.Version, Hostname: said}).hear()
		if got := o.seen(&o.hosts); len(got) == 0 || got[0] != want {
			t.Errorf("one that says %q is known as %q, want %q", said, got, want)
		}
	}
}

func TestAnAgentOfAnotherVersionGetsNoWork(t *testing.T) {
	o := &operator{orders: broker.Orders{Tasks: []protocol.Task{task("t1")}}}
	_, server := serve(t, o, nil)
	a := connect(t, server, protocol.Version+1)
	d, _ := a.hear()
	if !strings.Contains(d.Refuse, "version") {
		t.Fatalf("got %+v, want a refusal", d)
	}
	if d, ok := a.hear(); ok {
		t.Fatalf("after the refusal came %+v", d)
	}
}

func TestOrdersReachTheAgent(t *testing.T) {
	cases := map[string]struct {
		orders broker.Orders
		want   protocol.Down
		ends   bool
	}{
		"a task is cancelled": {orders: broker.Orders{Cancel: []string{"t1"}}, want: protocol.Down{Cancel: "t1"}},
		"a reason to wait":    {orders: broker.Orders{Wait: "its turn"}, want: protocol.Down{Wait: "its turn"}},
		"nothing is left":     {orders: broker.Orders{Finish: true}, want: protocol.Down{Finish: true}, ends: true},
		"it is refused":       {orders: broker.Orders{Refuse: "no"}, want: protocol.Down{Refuse: "no"}, ends: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := &operator{orders: c.orders}
			s, server := serve(t, o, nil)
			a := connect(t, server, protocol.Version)
			if d, _ := a.hear(); !cmp.Equal(d, c.want) {
				t.Fatalf("got %+v", d)
			}
			if c.ends {
				if d, ok := a.hear(); ok {
					t.Fatalf("the stream goes on with %+v", d)
				}
				return
			}
			// It is not said twice.
			s.Notify("pod-1")
			o.set(broker.Orders{Tasks: []protocol.Task{task("t9")}})
			s.Notify("pod-1")
			if d, _ := a.hear(); d.Task == nil {
				t.Fatalf("got %+v again", d)
			}
		})
	}
}

func TestATaskWhoseSessionWasDeletedIsStoppedOnce(t *testing.T) {
	o := &operator{deleted: map[string]bool{"t1": true}}
	s, server := serve(t, o, nil)
	a := connect(t, server, protocol.Version, "t1", "t2")
	if d, _ := a.hear(); d.Cancel != "t1" {
		t.Fatalf("got %+v", d)
	}
	s.Notify("pod-1")
	a.echo()
	o.set(broker.Orders{Cancel: []string{"t1", "t2"}})
	s.Notify("pod-1")
	if d, _ := a.hear(); d.Cancel != "t2" {
		t.Fatalf("got %+v: t1 was stopped before", d)
	}
}

func TestOrdersAreReadAgainWithoutANotification(t *testing.T) {
	o := &operator{}
	_, server := serve(t, o, func(s *broker.Server) { s.Recheck = soon })
	a := connect(t, server, protocol.Version)
	a.echo()
	o.set(broker.Orders{Wait: "later"})
	if d, _ := a.hear(); d.Wait != "later" {
		t.Fatalf("got %+v", d)
	}
}

func TestASecondStreamOfAPodEndsTheFirst(t *testing.T) {
	o := &operator{}
	_, server := serve(t, o, nil)
	first := connect(t, server, protocol.Version)
	first.echo()
	second := connect(t, server, protocol.Version)
	second.echo()
	if d, ok := first.hear(); ok {
		t.Fatalf("the first stream goes on with %+v", d)
	}
	second.echo()
}

func TestAStreamThatSaysTooMuchOrNonsenseEnds(t *testing.T) {
	for name, line := range map[string]string{
		"a line that is too long": strings.Repeat("x", 1<<20),
		"no JSON":                 "hello\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, server := serve(t, &operator{}, nil)
			a := connect(t, server, protocol.Version)
			a.echo()
			_, _ = a.out.Write([]byte(line)) // the broker may hang up in the middle
			if d, ok := a.hear(); ok {
				t.Fatalf("the stream goes on with %+v", d)
			}
		})
	}
}

func TestAnEndingServerEndsItsStreams(t *testing.T) {
	s, server := serve(t, &operator{}, nil)
	a := connect(t, server, protocol.Version)
	a.echo()
	if s.Streams() != 1 {
		t.Errorf("%d streams are open", s.Streams())
	}
	server.CloseClientConnections()
	if d, ok := a.hear(); ok {
		t.Fatalf("the stream goes on with %+v", d)
	}
}

func TestRefusalsHaveCodes(t *testing.T) {
	cases := map[string]struct {
		method, path, token string
		denied              error
		limit               int64
		proto               int
		want                int
	}{
		"another path":                   {path: "/", want: http.StatusNotFound},
		"another method":                 {method: http.MethodGet, want: http.StatusNotFound},
		"HTTP/1.1":                       {proto: 1, want: http.StatusHTTPVersionNotSupported},
		"no token":                       {token: "-", want: http.StatusUnauthorized},
		"a stranger":                     {denied: fmt.Errorf("%w: who?", broker.ErrDenied), want: http.StatusForbidden},
		"the API server cannot be asked": {denied: errDown, want: http.StatusServiceUnavailable},
		"too many agents":                {limit: -1, want: http.StatusServiceUnavailable},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &broker.Server{Identify: &operator{denied: c.denied}, Log: discard(), MaxStreams: c.limit}
			method, path := c.method, c.path
			if method == "" {
				method = http.MethodPost
			}
			if path == "" {
				path = protocol.Path
			}
			r := httptest.NewRequestWithContext(t.Context(), method, path, unread{t})
			if r.ProtoMajor = 2; c.proto != 0 {
				r.ProtoMajor = c.proto
			}
			if c.token != "-" {
				r.Header.Set("Authorization", "Bearer secret-token")
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.want)
			}
			if strings.Contains(w.Body.String(), "secret-token") || strings.Contains(w.Body.String(), errDown.Error()) {
				t.Errorf("the answer says too much: %s", w.Body)
			}
		})
	}
}

// unread is a body that nobody may read before the agent has proven who it is.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("read")
}

// Two minutes of silence make a backup lost, and another pod begins it anew.
func TestASignOfLifeThatWasNotStoredIsStoredWithTheNext(t *testing.T) {
	o := &operator{broken: errDown}
	_, server := serve(t, o, nil)
	a := connect(t, server, protocol.Version, "s1/host-0/1")
	a.echo()
	a.echo()
	o.breaks(nil)
	for range 4 {
		a.echo()
	}
	if got := o.seen(&o.alive); len(got) != 1 || got[0] != "[s1/host-0/1]" {
		t.Errorf("stored %q, want it once", got)
	}
}
