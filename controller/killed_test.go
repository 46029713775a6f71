package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// Each container that is killed asks for its work anew: not for ever.
func TestAnAgentThatIsKilledIsNotGivenItsWorkForEver(t *testing.T) {
	g := NewAgents(newWorld(t, interceptor.Funcs{}, configuration(), repository(), keys(), running()))
	id, task := sidecar("db-0", "p0"), "s1/host-0/1"
	nothing := func(string) bool { return false }
	for start := range session.DefaultLimits().Starts {
		o, err := g.Orders(t.Context(), id, nothing)
		if err != nil || len(o.Tasks) != 1 {
			t.Fatalf("start %d: %+v, %v", start, o, err)
		}
		if err := g.Accepted(t.Context(), id, task); err != nil {
			t.Fatal(err)
		}
	}
	o, err := g.Orders(t.Context(), id, nothing)
	if err != nil || len(o.Tasks) != 0 {
		t.Fatalf("once more: %+v, %v", o, err)
	}
	a := findAssignment(read(t, g.World, "demo", "shop-1", &v1beta1.BackupSession{}), task)
	if a.Lost == nil || a.Searched || a.Starts != session.DefaultLimits().Starts {
		t.Errorf("nobody looks for what it may have finished: %+v", a)
	}
}

func TestAnInitContainerThatIsKilledIsNotGivenItsWorkForEver(t *testing.T) {
	rs := restoring()
	rs.Status.Assignments[1].Starts = session.DefaultLimits().Starts
	g := NewAgents(newWorld(t, interceptor.Funcs{}, rs))
	o, err := g.Orders(t.Context(), initContainer("p9"), func(string) bool { return false })
	if err != nil || len(o.Tasks) != 0 || o.Finish || o.Wait == "" {
		t.Fatalf("%+v, %v", o, err)
	}
	if a := read(t, g.World, "demo", "back", &v1beta1.RestoreSession{}).Status.Assignments[1]; a.Lost == nil {
		t.Errorf("the work is still its own: %+v", a)
	}
	// One that works already is left alone.
	rs = restoring()
	rs.Status.Assignments[1].Starts = session.DefaultLimits().Starts
	g = NewAgents(newWorld(t, interceptor.Funcs{}, rs))
	if _, err := g.Orders(t.Context(), initContainer("p9"), func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if a := read(t, g.World, "demo", "back", &v1beta1.RestoreSession{}).Status.Assignments[1]; a.Lost != nil {
		t.Errorf("its work was taken away: %+v", a)
	}
}

func TestAPodSaysHowItsAgentEnded(t *testing.T) {
	terminated := func(reason string, code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code, Message: "long", StartedAt: metav1.Now()}}
	}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for want, s := range map[string]corev1.ContainerStatus{
		"":                    {State: runs},
		"OOMKilled":           {State: runs, LastTerminationState: terminated("OOMKilled", 137)},
		"Error (exit code 2)": {State: terminated("Error", 2), LastTerminationState: terminated("OOMKilled", 137)},
	} {
		s.Name = api.ContainerSidecar
		pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{s}}}
		if _, err := stripPod(pod); err != nil {
			t.Fatal(err)
		}
		if got := viewPod(pod, api.ContainerSidecar).Ended; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
