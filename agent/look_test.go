package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-731df569/stash/broker/protocol"
)

// What a rule asks for is looked up where it can still be mended: before a pod is deleted for it.
func TestASearchTellsWhatCannotBeRestored(t *testing.T) {
	ask, r := worker(t)
	data := tree(t, map[string]string{"conf/app.yaml": "a", "conf/b.json": "b", "top": "t", "mt/empty": "", "mt/full": "f"})
	if err := os.Mkdir(filepath.Join(data, "bare"), 0o755); err != nil {
		t.Fatal(err)
	}
	id := r.snapshot("host-0", data)
	other := r.snapshot("host-1", tree(t, map[string]string{"x": "1"}))
	in := func(names ...string) string { return filepath.Join(append([]string{data}, names...)...) }
	for name, c := range map[string]struct {
		look protocol.Look
		want string // empty: nothing is missing
	}{
		"its own path":                              {protocol.Look{Paths: []string{data}}, ""},
		"its own path, as nothing else is named":    {protocol.Look{}, ""},
		"a folder in it":                            {protocol.Look{Paths: []string{in("conf")}}, ""},
		"a folder with a slash behind":              {protocol.Look{Paths: []string{in("conf") + "/"}}, ""},
		"a file in it":                              {protocol.Look{Paths: []string{in("top")}}, ""},
		"a misspelt folder":                         {protocol.Look{Paths: []string{in("config")}}, `the snapshot does not hold "` + in("config") + `"; in "` + data + `" it holds bare, conf, mt, top`},
		"a folder below a misspelt one":             {protocol.Look{Paths: []string{in("config", "sub")}}, `does not hold "` + in("config", "sub") + `"; in "` + data + `" it holds bare, conf, mt, top`},
		"a folder below a file":                     {protocol.Look{Paths: []string{in("top", "sub")}}, `does not hold "` + in("top", "sub") + `"`},
		"one that another snapshot may hold":        {protocol.Look{Paths: []string{"/elsewhere"}}, ""},
		"patterns that match":                       {protocol.Look{Include: []string{"*.yaml"}}, ""},
		"a pattern that matches nothing":            {protocol.Look{Include: []string{"*.yml"}}, "the include patterns match nothing in the snapshot"},
		"a pattern of a place that is not restored": {protocol.Look{Paths: []string{in("conf")}, Include: []string{in("top")}}, "no include pattern can match anything below"},
		"patterns that leave nothing":               {protocol.Look{Exclude: []string{data}}, "the exclude patterns leave nothing of"},
		"patterns that leave nothing in it":         {protocol.Look{Exclude: []string{in("*")}}, "the exclude patterns leave nothing of"},
		"patterns that leave folders alone":         {protocol.Look{Exclude: []string{"*.yaml", "*.json", "top", "empty", "full"}}, "the exclude patterns leave nothing of"},
		"patterns that leave nothing of a folder":   {protocol.Look{Paths: []string{in("conf")}, Exclude: []string{in("conf", "*")}}, "the exclude patterns leave nothing of"},
		"patterns that leave an empty file":         {protocol.Look{Paths: []string{in("mt")}, Exclude: []string{"full"}}, ""},
		"patterns of a folder without files":        {protocol.Look{Paths: []string{in("bare")}, Exclude: []string{"*.yaml"}}, ""},
		"patterns that leave something":             {protocol.Look{Exclude: []string{"*.yaml"}}, ""},
		"a pattern among the arguments":             {protocol.Look{Args: []string{"--include=*.yml"}}, "match nothing"},
		"a misspelt one, in any case":               {protocol.Look{Args: []string{"--iinclude=" + in("konfig*")}}, "the include patterns match nothing in the snapshot"},
		"one that matches in any case":              {protocol.Look{Args: []string{"--iinclude=*.YAML"}}, ""},
		"one that leaves nothing, in any case":      {protocol.Look{Args: []string{"--iexclude=" + in("*")}}, "the exclude patterns leave nothing of"},
		"a pattern beside a file":                   {protocol.Look{Paths: []string{in("top")}, Include: []string{"top"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.look.Rule = 3
			result := ask(r, protocol.Maintain{Operation: protocol.OpFind, Queries: []protocol.Query{{Host: "host-0", Latest: true, Look: &c.look}}})
			mustSucceed(t, result)
			m := result.Maintained
			switch {
			case !m.Looked:
				t.Error("it does not say that it looked")
			case len(m.Snapshots) != 1 || m.Snapshots[0].ID != id:
				t.Errorf("found %s, not %s alone (%s is another host's)", asJSON(m.Snapshots), id, other)
			case c.want == "" && len(m.Lacks) > 0, c.want != "" && len(m.Lacks) != 1:
				t.Errorf("lacks %s, want %q", asJSON(m.Lacks), c.want)
			case c.want != "":
				if l := m.Lacks[0]; l.ID != id || l.Rule != 3 || !strings.Contains(l.Why, c.want) || len(c.look.Paths) > 0 && l.Path != c.look.Paths[0] {
					t.Errorf("lacks %s, want %q", asJSON(m.Lacks), c.want)
				}
			}
		})
	}
}

// A newer snapshot of a directory is taken for older ones of what lies in it only if it holds that.
func TestASearchTellsWhatANewerSnapshotWasMadeWithout(t *testing.T) {
	data := tree(t, map[string]string{"sub/a": "1", "gone/b": "2", "bare/c": "3", "top": "t"})
	in := func(name string) string { return filepath.Join(data, name) }
	ask, r := worker(t)
	for _, name := range []string{"sub", "gone", "bare"} {
		r.snapshot("host-0", in(name))
	}
	r.snapshot("host-1", in("gone"))
	r.run("backup", "-q", "--host", "host-0", "--exclude", in("gone"), "--exclude", in("bare/*"), data)
	list := r.snapshots()
	id := list[len(list)-1].ID
	for name, c := range map[string]struct {
		paths []string
		want  map[string]string // by path
	}{
		"all paths":      {nil, map[string]string{in("gone"): `does not hold "` + in("gone") + `"`, in("bare"): `holds nothing in "` + in("bare") + `"`}},
		"one by name":    {[]string{in("bare")}, map[string]string{in("bare"): `holds nothing in "` + in("bare") + `"`}},
		"another":        {[]string{in("gone")}, map[string]string{in("gone"): `does not hold "` + in("gone") + `"; in "` + data + `" it holds bare, sub, top`}},
		"what is there":  {[]string{in("sub"), data}, map[string]string{}},
		"a file in what": {[]string{in("sub/a")}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			result := ask(r, protocol.Maintain{Operation: protocol.OpFind, Queries: []protocol.Query{{Host: "host-0", Latest: true, Look: &protocol.Look{Paths: c.paths}}}})
			mustSucceed(t, result)
			if len(result.Maintained.Lacks) != len(c.want) {
				t.Errorf("lacks %s, want %v", asJSON(result.Maintained.Lacks), c.want)
			}
			for _, l := range result.Maintained.Lacks {
				if l.ID != id || !strings.Contains(l.Why, c.want[l.Path]) {
					t.Errorf("lacks %s, want %v", asJSON(l), c.want)
				}
			}
		})
	}
}
