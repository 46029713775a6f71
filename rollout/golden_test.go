package rollout_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/rollout"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// noon is when all cases happen; times in the files are relative to it.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// TestAWorkloadNeeds decides what a workload needs next: each file holds what is observed and the
// one action that follows.
func TestAWorkloadNeeds(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, f := range files {
		t.Run(strings.ReplaceAll(strings.TrimSuffix(filepath.Base(f), ".txtar"), "-", " "), func(t *testing.T) {
			a, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			o := &rollout.Workload{}
			if err := yaml.UnmarshalStrict(a.Files[0].Data, o); err != nil || a.Files[0].Name != "observed.yaml" {
				t.Fatal(a.Files[0].Name, err)
			}
			before := mustJSON(t, o)
			action := rollout.Next(o, noon())
			if again := rollout.Next(o, noon()); !cmp.Equal(action, again) || mustJSON(t, o) != before {
				t.Errorf("a second look decides otherwise: %s", cmp.Diff(action, again))
			}
			got := brief(t, action)
			if *update {
				a.Files = []txtar.File{a.Files[0], {Name: "action.yaml", Data: got}}
				if err := os.WriteFile(f, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) != 2 || a.Files[1].Name != "action.yaml" {
				t.Fatal("no action.yaml: run with -update and read what it says")
			}
			if d := cmp.Diff(string(a.Files[1].Data), string(got)); d != "" {
				t.Errorf("action differs (-want +got):\n%s", d)
			}
		})
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// brief leaves out what is empty, so that a golden shows what was decided.
func brief(t *testing.T, a rollout.Action) []byte {
	t.Helper()
	b, err := yaml.Marshal(outcome(a))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func outcome(a rollout.Action) map[string]any {
	m := map[string]any{"Kind": a.Kind, "OK": a.OK, "Reason": a.Reason, "Message": a.Message}
	if a.Pod != "" {
		m["Pod"] = a.Pod
	}
	if a.Settled {
		m["Settled"] = true
	}
	if a.After != 0 {
		m["After"] = a.After.String()
	}
	if a.Remember != nil {
		m["Remember"] = a.Remember
	}
	if a.Unproven != nil {
		m["Unproven"] = outcome(*a.Unproven)
	}
	return m
}

// A stamp that was taken back is tried again, more and more seldom, and for ever.
func TestAWithdrawalIsForgottenAfterAWhile(t *testing.T) {
	for withdrawals, want := range map[int32]time.Duration{
		0: 10 * time.Minute, 1: 10 * time.Minute, 2: 20 * time.Minute, 3: 40 * time.Minute, 6: 320 * time.Minute, 7: 6 * time.Hour, 1 << 30: 6 * time.Hour,
	} {
		if got := rollout.Pause(withdrawals); got != want {
			t.Errorf("after %d: %s, want %s", withdrawals, got, want)
		}
	}
}

// The same workload from its stamp on, in a cluster whose registry is away: nobody waits for ever,
// and nobody is rolled out again and again.
func TestAnImageThatIsAwayForADay(t *testing.T) {
	now := noon()
	o := &rollout.Workload{Want: "h1", Image: "stash:v1"}
	old := rollout.Pod{Name: "old", Created: now.Add(-time.Hour), Ready: true}
	var memory *v1beta1.SidecarStatus
	var stamped time.Time
	stamps := 0
	for ; now.Before(noon().Add(24 * time.Hour)); now = now.Add(30 * time.Second) {
		o.Sidecar, o.Pods = memory, []rollout.Pod{old}
		if o.Have == o.Want {
			o.Pods = append(o.Pods, rollout.Pod{Name: "new", Created: stamped, Stamp: "h1", Injected: true, Stuck: "ImagePullBackOff"})
		}
		a := rollout.Next(o, now)
		switch memory = a.Remember; a.Kind {
		case rollout.KindStamp:
			o.Have, stamped = o.Want, now
			stamps++
		case rollout.KindWithdraw:
			o.Have = ""
		case rollout.KindWait, rollout.KindReplace, rollout.KindDelete:
		}
	}
	if stamps < 5 || stamps > 10 {
		t.Errorf("%d rollouts in a day", stamps)
	}
	// It is back.
	for range 2000 {
		o.Sidecar, o.Pods = memory, []rollout.Pod{{Name: "old", Created: stamped}}
		if o.Have == o.Want {
			o.Pods = []rollout.Pod{{Name: "new", Created: stamped, Stamp: "h1", Injected: true, Started: true}}
		}
		a := rollout.Next(o, now)
		if memory = a.Remember; a.OK {
			if memory.Withdrawals != 0 || memory.StartedTime == nil {
				t.Errorf("remembers %+v", memory)
			}
			return
		}
		if a.Kind == rollout.KindStamp {
			o.Have, stamped = o.Want, now
		}
		now = now.Add(30 * time.Second)
	}
	t.Error("the sidecar never comes")
}

// Where the API server never has pods completed, and says on trial that it would, each eviction is a
// restart for nothing: there are few of them, however many pods there are.
func TestAWebhookThatIsNotReachedForADay(t *testing.T) {
	now := noon()
	o := &rollout.Workload{Want: "h1", Have: "h1", Image: "stash:v1"}
	pod := func(i int) rollout.Pod {
		return rollout.Pod{Name: fmt.Sprint("p", i), Created: now, Ready: true, Revision: "r1", Stamp: "h1"}
	}
	for i := range 3 {
		o.Pods = append(o.Pods, pod(i))
	}
	evictions := 0
	look := func(injected bool) rollout.Action {
		now = now.Add(30 * time.Second)
		a := rollout.Next(o, now)
		o.Sidecar = a.Remember
		for i := range o.Pods {
			if a.Kind == rollout.KindReplace && o.Pods[i].Name == a.Pod {
				evictions++
				o.Pods[i] = pod(i)
				o.Pods[i].Injected, o.Pods[i].Started = injected, injected
			}
		}
		return a
	}
	for range 24 * 120 {
		look(false)
	}
	if evictions < 5 || evictions > 12 {
		t.Errorf("%d evictions in a day", evictions)
	}
	// It is reached again.
	for range 7 * 120 {
		if look(true).OK && o.Pods[0].Injected && o.Pods[1].Injected && o.Pods[2].Injected {
			return
		}
	}
	t.Error("the sidecar never comes")
}
