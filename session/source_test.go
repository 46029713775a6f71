package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-731df569/stash/session"
)

// Two configurations of one workload: one backs all of it up each hour, with patterns that leave files out,
// the other one a directory of it each night.
func TestAPathOfItsOwnIsNotTakenFromWhatMayHoldAPartOfIt(t *testing.T) {
	night, hour := snap("b", "/data/db", 2026, "night"), snap("a", "/data", 2026, "hour")
	hour.Time = night.Time.Add(5 * time.Hour)
	part, empty := hour, night
	part.Partial, empty.Empty = true, true
	const (
		remark  = "it is of 2026-11-21T01:00:00Z; aaaaaaaa of 2026-11-21T06:00:00Z, of a directory above, is newer and may hold a part of it"
		refused = `of path "/data/db" there is snapshot bbbbbbbb of 2026-11-21T01:00:00Z, and aaaaaaaa of 2026-11-21T06:00:00Z, of a directory above, is newer and may hold only a part of it, ` +
			"since it was made with patterns that leave files out, or nobody could look into it: name the one that you want in snapshots of the rule"
	)
	for name, c := range map[string]struct {
		found []session.Found
		own   map[string][]string
		paths []string
		want  string // ID, path, remark, what is restored elsewhere
		err   string
	}{
		"by name, both are backed up": {
			[]session.Found{night, part},
			map[string][]string{"host-0": {"/data", "/data/db"}},
			[]string{"/data/db"},
			"b /data/db " + remark,
			"",
		},
		"by name, and the newer one holds all": {
			[]session.Found{night, hour},
			map[string][]string{"host-0": {"/data", "/data/db"}},
			[]string{"/data/db"},
			"b /data/db " + remark,
			"",
		},
		"by name, of configurations that are as good as new": {
			[]session.Found{night, part},
			map[string][]string{"": {"/data", "/data/db"}},
			[]string{"/data/db"},
			"b /data/db " + remark,
			"",
		},
		"what lies in it": {
			[]session.Found{night, part},
			map[string][]string{"host-0": {"/data", "/data/db"}},
			[]string{"/data/db/shop"},
			"b /data/db/shop " + remark,
			"",
		},
		"all, both are backed up": {
			[]session.Found{night, part},
			map[string][]string{"host-0": {"/data", "/data/db"}},
			nil,
			"a /data without /data/db, b /data/db " + remark,
			"",
		},
		"by name, and no configuration is left":  {[]session.Found{night, part}, nil, []string{"/data/db"}, "", refused},
		"all, and no configuration is left":      {[]session.Found{night, part}, nil, nil, "", refused},
		"another host's are another one's":       {[]session.Found{night, part}, map[string][]string{"host-1": {"/data/db"}}, nil, "", refused},
		"the newer one holds all":                {[]session.Found{night, hour}, nil, []string{"/data/db"}, "a /data/db", ""},
		"the newer one holds none of it":         {[]session.Found{night, lacking(part, "/data/db")}, nil, nil, "a /data without /data/db, b /data/db it is of 2026-11-21T01:00:00Z; the newest backup of the host, of 2026-11-21T06:00:00Z, does not hold it", ""},
		"its own is empty, and the newer is not": {[]session.Found{empty, part}, nil, []string{"/data/db"}, "a /data/db", ""},
	} {
		t.Run(name, func(t *testing.T) {
			pins, err := session.Pin(session.Wish{Rules: rulesFor(c.paths)[:1], Own: c.own}, []string{"host-0"}, c.found)
			if (err != nil) != (c.err != "") || err != nil && !strings.HasSuffix(err.Error(), c.err) {
				t.Fatalf("error = %v, want %q", err, c.err)
			}
			var got []string
			for i, p := range pins {
				text := p.ID[:1] + " " + p.Path
				if e := session.Elsewhere(pins, i); len(e) > 0 {
					text += " without " + strings.Join(e, " ")
				}
				got = append(got, strings.TrimSpace(text+" "+p.Remark))
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
}
