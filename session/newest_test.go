package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

func snap(id, path string, year int, in string) session.Found {
	return session.Found{ID: strings.Repeat(id, 8), Host: "host-0", Paths: []string{path}, Time: time.Date(year, 11, 21, 1, 0, 0, 0, time.UTC), Session: in}
}

func lacking(f session.Found, path string) session.Found {
	f.Lacks = []session.Lack{{Path: path, Why: fmt.Sprintf("the snapshot does not hold %q", path)}}
	return f
}

// Paths come and go: what is not backed up any more keeps its snapshots.
func TestOfWhatSeveralSnapshotsHoldTheNewestIsRestored(t *testing.T) {
	data, sub, logs := snap("a", "/data", 2026, "now"), snap("b", "/data/sub", 2024, "then"), snap("c", "/logs", 2024, "then")
	beside := data
	beside.Time, beside.Session = data.Time.Add(time.Minute), "now"
	narrow := snap("b", "/data/sub", 2026, "now")
	for name, c := range map[string]struct {
		found []session.Found
		paths []string
		want  []string // ID, path, remark
		err   string
	}{
		"a path that a newer one holds": {
			[]session.Found{sub, data},
			nil,
			[]string{`a /data: it also holds "/data/sub", of which the newest snapshot of its own is of 2024-11-21T01:00:00Z`},
			"",
		},
		"a path that a newer one holds, by name": {[]session.Found{sub, data}, []string{"/data/sub"}, []string{"a /data/sub"}, ""},
		"a path inside that is backed up since": {
			[]session.Found{snap("a", "/data", 2024, "then"), narrow},
			nil,
			[]string{"a /data: it is of 2024-11-21T01:00:00Z; the newest backup of the host, of 2026-11-21T01:00:00Z, does not hold it", "b /data/sub"},
			"",
		},
		"a wider path by name": {
			[]session.Found{snap("a", "/data", 2024, "then"), narrow},
			[]string{"/data"},
			[]string{`a /data: it is of 2024-11-21T01:00:00Z; the newest backup of the host, of 2026-11-21T01:00:00Z, does not hold it; newer snapshots hold "/data/sub", and are not restored unless they are named`},
			"",
		},
		"both in one session, the wider one later":            {[]session.Found{narrow, beside}, nil, []string{"a /data", "b /data/sub"}, ""},
		"both in one session, the wider one later, by name":   {[]session.Found{narrow, beside}, []string{"/data/sub"}, []string{"b /data/sub"}, ""},
		"both by name, the inner one first":                   {[]session.Found{narrow, beside}, []string{"/data/sub", "/data"}, []string{"a /data", "b /data/sub"}, ""},
		"a path elsewhere that is not backed up any more":     {[]session.Found{logs, data}, nil, []string{"a /data", "c /logs: it is of 2024-11-21T01:00:00Z; the newest backup of the host, of 2026-11-21T01:00:00Z, does not hold it"}, ""},
		"one that the newer one was made without":             {[]session.Found{sub, lacking(data, "/data/sub")}, nil, []string{"a /data", "b /data/sub: it is of 2024-11-21T01:00:00Z; the newest backup of the host, of 2026-11-21T01:00:00Z, does not hold it"}, ""},
		"one that the newer one was made without, by name":    {[]session.Found{sub, lacking(data, "/data/sub")}, []string{"/data/sub"}, nil, `the snapshot does not hold "/data/sub"; bbbbbbbb of 2024-11-21T01:00:00Z holds it: name the one that you want in snapshots of the rule`},
		"one that nothing holds but what newer ones have not": {[]session.Found{lacking(data, "/data/x")}, []string{"/data/x"}, nil, `path "/data/x" cannot be restored from snapshot aaaaaaaa of 2026-11-21T01:00:00Z: the snapshot does not hold "/data/x"`},
		"sessions that nobody knows":                          {[]session.Found{snap("c", "/logs", 2024, ""), snap("a", "/data", 2026, "")}, nil, []string{"a /data", "c /logs"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, rule := range rulesFor(c.paths) {
				pins, err := session.Pin(session.Wish{Rules: []v1beta1.Rule{rule}}, []string{"host-0"}, c.found)
				if (err != nil) != (c.err != "") || err != nil && !strings.HasSuffix(err.Error(), c.err) {
					t.Fatalf("error = %v, want %q", err, c.err)
				}
				var got []string
				for _, p := range pins {
					got = append(got, strings.TrimSuffix(p.ID[:1]+" "+p.Path+": "+p.Remark, ": "))
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Errorf("chosen (-want +got):\n%s", d)
				}
			}
		})
	}
}

// rulesFor are the ways to write the same.
func rulesFor(paths []string) []v1beta1.Rule {
	if len(paths) > 0 {
		return []v1beta1.Rule{{Paths: paths}}
	}
	return []v1beta1.Rule{{}, {Snapshots: []string{"latest"}}}
}

// asks tells whether a snapshot of dir holds a file that is asked for: each path that is named is taken
// from one snapshot, of itself or of a directory above it.
func asks(paths []string, dir, file string) bool {
	return len(paths) == 0 && target.Covers(dir, file) || slices.ContainsFunc(paths, func(p string) bool {
		return target.Covers(dir, p) && target.Covers(p, file)
	})
}

// A history of sessions, whose paths change, is restored: no file comes from a snapshot that is older
// than another one that holds it, whatever the order of the paths in a session.
func TestNoFileIsRestoredFromAnOlderSnapshot(t *testing.T) {
	dirs := []string{"/", "/data", "/data/sub", "/data/sub/deep", "/data/sub2", "/logs"}
	rapid.Check(t, func(t *rapid.T) {
		ages := map[string]int{} // of snapshots, by ID
		var found []session.Found
		tagged := rapid.Bool().Draw(t, "sessions are known")
		for age := range rapid.IntRange(1, 6).Draw(t, "sessions") {
			for _, dir := range rapid.SliceOfNDistinct(rapid.SampledFrom(dirs), 1, 3, rapid.ID).Draw(t, "paths of a session") {
				f := session.Found{ID: fmt.Sprintf("%08d", len(found)), Host: "host-0", Paths: []string{dir}, Time: noon().Add(time.Duration(len(found)) * time.Hour)}
				if tagged {
					f.Session = fmt.Sprint(age)
				}
				ages[f.ID] = age
				found = append(found, f)
			}
		}
		rule := v1beta1.Rule{Paths: rapid.SliceOfDistinct(rapid.SampledFrom(dirs), rapid.ID).Draw(t, "paths of the rule")}
		pins, err := session.Pin(session.Wish{Rules: []v1beta1.Rule{rule}}, []string{"host-0"}, rapid.Permutation(found).Draw(t, "as found"))
		if err != nil {
			return // a path that was never backed up
		}
		for _, dir := range dirs {
			file := strings.TrimSuffix(dir, "/") + "/file"
			want, got := -1, -1
			for _, f := range found {
				if asks(rule.Paths, f.Paths[0], file) {
					want = max(want, ages[f.ID])
				}
			}
			for i, p := range pins {
				if target.Covers(p.Path, file) && !slices.ContainsFunc(session.Elsewhere(pins, i), func(e string) bool { return target.Covers(e, file) }) {
					got = ages[p.ID]
				}
			}
			if got != want {
				t.Fatalf("%s is restored from session %d, the newest that holds it is %d; pinned %+v", file, got, want, pins)
			}
		}
	})
}
