package task_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	appcatalog "github.com/seed-731df569/stash/api/appcatalog/v1alpha1"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/task"
)

var update = flag.Bool("update", false, "rewrite the wanted results in testdata")

// situation is what a Task is resolved for.
type situation struct {
	Repository  *v1alpha1.Repository         `json:"repository"`
	Backup      *v1beta1.BackupConfiguration `json:"backup"`
	Session     string                       `json:"session"`
	Restore     *v1beta1.RestoreSession      `json:"restore"`
	Host        string                       `json:"host"`
	App         *appcatalog.AppBinding       `json:"app"`
	Hook        string                       `json:"hook"`
	Image       string                       `json:"image"`
	Pushgateway string                       `json:"pushgateway"`
}

// inputs are those that a controller would give.
func (s *situation) inputs() task.Inputs {
	job := task.Job{
		Repository: s.Repository, Backup: s.Backup, Session: s.Session, Restore: s.Restore, Host: s.Host, App: s.App,
		Hook: s.Hook, Image: s.Image, Pushgateway: s.Pushgateway,
	}
	in := task.Inputs{}
	switch {
	case s.Backup != nil:
		spec, _ := s.Backup.Spec.Shipped()
		in.Params, in.Container = spec.Task.Params, spec.RuntimeSettings.Container
	case s.Restore != nil:
		spec, _ := s.Restore.Spec.Shipped()
		in.Params, in.Container = spec.Task.Params, spec.RuntimeSettings.Container
		if spec.Target != nil && len(spec.Target.Rules) > 0 {
			job.Rule = &spec.Target.Rules[0]
		}
	}
	in.Computed = job.Variables()
	return in
}

// TestResolve runs the cases in testdata/resolve. Each holds task.yaml, perhaps functions.yaml and
// job.yaml, and what is wanted: the plan, or the problems; and warnings.
func TestResolve(t *testing.T) {
	eachCase(t, "testdata/resolve/*.txtar", []string{"task.yaml", "functions.yaml", "job.yaml"}, func(t *testing.T, parts map[string][]byte) []txtar.File {
		var tk v1beta1.Task
		decode(t, parts["task.yaml"], &tk)
		functions := map[string]*v1beta1.Function{}
		for doc := range strings.SplitSeq(string(parts["functions.yaml"]), "---\n") {
			f := &v1beta1.Function{}
			decode(t, []byte(doc), f)
			functions[f.Name] = f
		}
		delete(functions, "")
		var s situation
		decode(t, parts["job.yaml"], &s)
		before := encode(t, []any{tk, functions, s})
		plan, problems := task.Resolve(&tk, functions, s.inputs())
		if diff := cmp.Diff(before, encode(t, []any{tk, functions, s})); diff != "" {
			t.Fatalf("what was passed in was changed:\n%s", diff)
		}
		if len(problems) > 0 {
			var lines strings.Builder
			for _, p := range problems {
				lines.WriteString(p.Error() + "\n")
			}
			return []txtar.File{{Name: "problems", Data: []byte(lines.String())}}
		}
		return []txtar.File{{Name: "plan", Data: []byte(encode(t, plan))}}
	})
}

// TestVariables runs the cases in testdata/variables: job.yaml, and the variables that it gives.
func TestJobVariables(t *testing.T) {
	eachCase(t, "testdata/variables/*.txtar", []string{"job.yaml"}, func(t *testing.T, parts map[string][]byte) []txtar.File {
		var s situation
		decode(t, parts["job.yaml"], &s)
		return []txtar.File{{Name: "variables", Data: []byte(encode(t, s.inputs().Computed))}}
	})
}

// eachCase runs the archives; each result comes out twice alike.
func eachCase(t *testing.T, pattern string, given []string, run func(*testing.T, map[string][]byte) []txtar.File) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string][]byte{}
			var kept []txtar.File
			for _, f := range archive.Files {
				for _, name := range given {
					if f.Name == name {
						parts[name] = f.Data
						kept = append(kept, f)
					}
				}
			}
			got := run(t, parts)
			if again := run(t, parts); cmp.Diff(got, again) != "" {
				t.Fatalf("a second run differs:\n%s", cmp.Diff(got, again))
			}
			out := txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: append(kept, got...)})
			if *update {
				if err := os.WriteFile(file, out, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(archive)), string(out)); diff != "" {
				t.Fatalf("-want +got (-update rewrites):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
}

// encode writes YAML without fields that are empty.
func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(given(plain))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func given(v any) any {
	m, ok := v.(map[string]any)
	if list, isList := v.([]any); isList {
		for i := range list {
			list[i] = given(list[i])
		}
	}
	if !ok {
		return v
	}
	for k, item := range m {
		m[k] = given(item)
		if sub, isMap := m[k].(map[string]any); m[k] == nil || isMap && len(sub) == 0 {
			delete(m, k)
		}
	}
	return m
}
