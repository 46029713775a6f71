package session_test

import (
	"strings"
	"testing"
	"time"

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
