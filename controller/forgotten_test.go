package controller

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/session"
)

// The locks of a pod that is not in the record are never removed.
func TestNobodyWhoLivesIsForgotten(t *testing.T) {
	repo := repository()
	for name, ended := range map[string]time.Duration{"long-gone": rememberGone + time.Hour, "just-gone": time.Hour} {
		repo.Status.Holders = append(repo.Status.Holders, v1alpha1.Holder{Namespace: "demo", Pod: name, UID: name, Unique: true, Gone: agoP(ended)})
	}
	repo.Status.Holders = append(repo.Status.Holders, v1alpha1.Holder{Namespace: "demo", Pod: "never-seen-again", UID: "u", Unique: true})
	w := newWorld(t, interceptor.Funcs{}, repo)
	const nodes = 60
	for i := range nodes {
		name := fmt.Sprintf("ds-%d", i)
		if err := w.Create(t.Context(), agentPod("demo", name, name, corev1.PodRunning, time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := w.holds(t.Context(), repo, broker.Identity{Namespace: "demo", Pod: name, PodUID: name, Hostname: name}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	gone := map[string]*metav1.Time{}
	for _, h := range read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status.Holders {
		names = append(names, h.Pod)
		gone[h.Pod] = h.Gone
	}
	if len(names) != nodes+2 || slices.Contains(names, "long-gone") || !slices.Contains(names, "ds-0") {
		t.Errorf("known are %d: %v", len(names), names)
	}
	if at := gone["never-seen-again"]; at == nil || !at.Time.Equal(noon()) || gone["ds-0"] != nil {
		t.Errorf("gone are %v", gone)
	}
}

func TestWhoLeftALockIsRemembered(t *testing.T) {
	for name, c := range map[string]struct {
		locks []string
		kept  bool
	}{
		"no locks":                         {nil, false},
		"a lock of another":                {[]string{"other"}, false},
		"its lock":                         {[]string{"other", "node-1"}, true},
		"locks that nobody has looked at":  {[]string{session.UnknownLock}, true},
		"a lock that bears the pod's name": {[]string{"agent"}, false},
	} {
		list := []v1alpha1.Holder{{Pod: "agent", Hostname: "node-1", Gone: agoP(rememberGone + time.Minute)}}
		if got, _ := keptHolders(list, c.locks, noon()); (len(got) == 1) != c.kept {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTheRecordOfHoldersFitsIntoAnObject(t *testing.T) {
	holder := func(i int) v1alpha1.Holder {
		return v1alpha1.Holder{
			Namespace: "demo", Pod: fmt.Sprintf("pod-%05d", i), UID: strings.Repeat("u", 36), Hostname: fmt.Sprintf("node-%05d", i),
			Unique: true, Since: agoP(time.Hour), Ended: agoP(time.Hour),
		}
	}
	var list []v1alpha1.Holder
	for i := range 10000 {
		list = append(list, holder(i))
	}
	list[7].Gone, list[5].Gone, list[6].Gone = agoP(3*time.Minute), agoP(2*time.Minute), agoP(time.Minute)
	kept, lost := keptHolders(list, []string{"node-00007"}, noon())
	text, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > maxHolders || len(text) < maxHolders*3/4 || len(kept) < 3500 || lost != 10000-len(kept)-2 {
		t.Errorf("%d holders take %d bytes; %d were lost", len(kept), len(text), lost)
	}
	// One too many: which one goes?
	full := slices.Clone(kept)
	full[1].Gone, full[3].Gone, full[2].Gone = agoP(3*time.Minute), agoP(2*time.Minute), agoP(time.Minute)
	locks := []string{host(full[1])}
	for _, want := range []int{3, 2, 1, 0} {
		gone := full[want].Pod
		more, lost := keptHolders(append(slices.Clone(full), holder(10000)), locks, noon())
		if slices.ContainsFunc(more, func(h v1alpha1.Holder) bool { return h.Pod == gone }) || len(more) != len(full) || lost != map[bool]int{true: 1}[want < 2] {
			t.Errorf("%s is kept, of %d there are %d, and %d were lost", gone, len(full), len(more), lost)
		}
		full[want].Gone = nil
	}
}
