package session_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

func TestAnEmptiedSnapshotIsNotTakenForTheWayBack(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 11, 21, hour, 0, 0, 0, time.UTC) }
	full := session.Found{ID: "aaaaaaaaaaaa", Host: "host-0", Paths: []string{"/data"}, Time: at(1)}
	emptied := session.Found{ID: "bbbbbbbbbbbb", Host: "host-0", Paths: []string{"/data"}, Time: at(2), Empty: true}
	other := session.Found{ID: "cccccccccccc", Host: "host-1", Paths: []string{"/data"}, Time: at(1)}
	const refused = `the newest snapshot of path "/data" of host "host-0", bbbbbbbb of 2026-11-21T02:00:00Z, holds no file, and aaaaaaaa of 2026-11-21T01:00:00Z does`
	for name, c := range map[string]struct {
		rule  v1beta1.Rule
		found []session.Found
		want  string // ID
		err   string
	}{
		"the newest holds files":              {v1beta1.Rule{Paths: []string{"/data"}}, []session.Found{full}, full.ID, ""},
		"by path":                             {v1beta1.Rule{Paths: []string{"/data"}}, []session.Found{emptied, full}, "", refused},
		"by a path below":                     {v1beta1.Rule{Paths: []string{"/data/sub"}}, []session.Found{emptied, full}, "", "holds no file"},
		"without paths":                       {v1beta1.Rule{}, []session.Found{full, emptied}, "", refused},
		"by latest":                           {v1beta1.Rule{Snapshots: []string{"latest"}}, []session.Found{emptied, full}, "", refused},
		"by its ID it is wanted":              {v1beta1.Rule{Snapshots: []string{"bbbbbbbb"}}, []session.Found{emptied, full}, emptied.ID, ""},
		"it never held any":                   {v1beta1.Rule{Paths: []string{"/data"}}, []session.Found{emptied}, emptied.ID, ""},
		"another host's files are none of it": {v1beta1.Rule{Paths: []string{"/data"}}, []session.Found{emptied, other}, emptied.ID, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pins, err := session.Pin(session.Wish{Rules: []v1beta1.Rule{c.rule}}, []string{"host-0"}, c.found)
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error = %v, want %q", err, c.err)
				}
			case err != nil || len(pins) != 1 || pins[0].ID != c.want:
				t.Errorf("pinned %+v, error %v, want %s", pins, err, c.want)
			}
		})
	}
}

func TestASnapshotIsNotRestoredBesideTheVolumes(t *testing.T) {
	found := []session.Found{{ID: "aaaaaaaaaaaa", Host: "host-0", Paths: []string{"/data/shop"}}}
	for name, c := range map[string]struct {
		mounts []string
		rule   v1beta1.Rule
		want   bool
	}{
		"into its volume":                     {[]string{"/logs", "/data"}, v1beta1.Rule{}, true},
		"into the volume mounted at its path": {[]string{"/data/shop"}, v1beta1.Rule{}, true},
		"beside, by ID":                       {[]string{"/source/data"}, v1beta1.Rule{Snapshots: []string{"aaaaaaaa"}}, false},
		"beside, all of the host":             {[]string{"/data/shopping"}, v1beta1.Rule{}, false},
		"where the mounts are not known":      {nil, v1beta1.Rule{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := session.Pin(session.Wish{Rules: []v1beta1.Rule{c.rule}, Mounts: c.mounts}, []string{"host-0"}, found)
			if (err == nil) != c.want {
				t.Fatalf("error = %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), `snapshot aaaaaaaa holds "/data/shop", which lies in none of the volumeMounts (`+c.mounts[0]+`): mount the volume there`) {
				t.Error(err)
			}
		})
	}
}

// The path lies in a snapshot that was made, and is not what was in it: a person misspelt it.
func TestWhatASnapshotLacksIsNotChosen(t *testing.T) {
	found := func(lacks ...session.Lack) []session.Found {
		return []session.Found{{ID: "aaaaaaaaaaaa", Host: "host-0", Paths: []string{"/data"}, Time: noon(), Lacks: lacks}}
	}
	typo := session.Lack{Path: "/data/confg", Why: `the snapshot does not hold "/data/confg"; in "/data" it holds conf`}
	for name, c := range map[string]struct {
		rules []v1beta1.Rule
		lacks []session.Lack
		want  string
	}{
		"a path that is there":    {[]v1beta1.Rule{{Paths: []string{"/data/conf"}}}, []session.Lack{typo}, ""},
		"a path that is not":      {[]v1beta1.Rule{{Paths: []string{"/data/confg"}}}, []session.Lack{typo}, `rule 0 for host "host-0": path "/data/confg" cannot be restored from snapshot aaaaaaaa of 2026-03-01T12:00:00Z: the snapshot does not hold "/data/confg"; in "/data" it holds conf`},
		"another rule's path":     {[]v1beta1.Rule{{TargetHosts: []string{"host-9"}}, {Paths: []string{"/data/confg"}}}, []session.Lack{typo}, ""},
		"patterns, by ID":         {[]v1beta1.Rule{{Snapshots: []string{"aaaa"}}}, []session.Lack{{Path: "/data", Why: "nothing matches"}}, "nothing matches"},
		"patterns, by latest":     {[]v1beta1.Rule{{Snapshots: []string{"latest"}}}, []session.Lack{{Path: "/data", Why: "nothing matches"}}, "nothing matches"},
		"patterns, without paths": {[]v1beta1.Rule{{}}, []session.Lack{{Path: "/data", Why: "nothing matches"}}, "nothing matches"},
	} {
		t.Run(name, func(t *testing.T) {
			st := &v1beta1.RestoreSessionStatus{TotalHosts: new(int32(1))}
			session.Choose(st, session.Wish{Rules: c.rules}, []string{"host-0"}, found(c.lacks...), 1, metav1.NewTime(noon()))
			pinned := api.FindCondition(st.Conditions, api.SnapshotsPinned)
			switch {
			case c.want == "":
				if pinned.Status != metav1.ConditionTrue || len(st.Pinned) != 1 {
					t.Errorf("%+v", pinned)
				}
			case pinned.Status != metav1.ConditionFalse || pinned.Reason != "PathNotFound" || !strings.Contains(pinned.Message, c.want) || len(st.Pinned) > 0:
				t.Errorf("%+v, want %q", pinned, c.want)
			case session.Searching(*st):
				t.Error("it is looked for again, and would be the same")
			}
		})
	}
}

func TestALateHostWhosePathIsMissingFailsAlone(t *testing.T) {
	rules := []v1beta1.Rule{{Paths: []string{"/data/conf"}}}
	st := &v1beta1.RestoreSessionStatus{TotalHosts: new(int32(1))}
	found := []session.Found{{ID: "aaaaaaaaaaaa", Host: "host-0", Paths: []string{"/data"}, Time: noon()}, {
		ID: "bbbbbbbbbbbb", Host: "host-1", Paths: []string{"/data"}, Time: noon(),
		Lacks: []session.Lack{{Path: "/data/conf", Why: "the snapshot does not hold it"}},
	}}
	session.Choose(st, session.Wish{Rules: rules}, []string{"host-0"}, found, 1, metav1.NewTime(noon()))
	session.Appear(st, "host-1", 1, metav1.NewTime(noon()))
	failed := session.Choose(st, session.Wish{Rules: rules}, []string{"host-0", "host-1"}, found, 1, metav1.NewTime(noon()))
	if len(failed) != 1 || failed[0].Hostname != "host-1" || !strings.Contains(failed[0].Error, "the snapshot does not hold it; create another RestoreSession whose rules name what it holds") {
		t.Errorf("failed are %+v", failed)
	}
	if len(st.Pinned) != 1 || st.Pinned[0].Hostname != "host-0" {
		t.Errorf("pinned are %+v", st.Pinned)
	}
}
