package blueprint_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

var update = flag.Bool("update", false, "rewrite the wanted results in testdata")

// facts are what an expansion knows beside workload and blueprints.
type facts struct {
	OperatorNamespace string             `json:"operatorNamespace"`
	NamespaceLabels   map[string]string  `json:"namespaceLabels"`
	Holder            string             `json:"holder"`
	UID               string             `json:"uid"`
	Default           *blueprint.Default `json:"default"`
}

// TestExpand runs the cases in testdata. Each holds workload.yaml, blueprints.yaml and perhaps
// facts.yaml, and what is wanted: objects.yaml, warnings, problems.
func TestExpand(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, kept := input(t, archive)
			got := results(t, in)
			if again := results(t, in); cmp.Diff(got, again) != "" {
				t.Fatalf("a second run differs:\n%s", cmp.Diff(got, again))
			}
			if *update {
				out := &txtar.Archive{Comment: archive.Comment, Files: append(kept, got...)}
				if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(text(archive.Files[len(kept):]), text(got)); diff != "" {
				t.Fatalf("-want +got (-update rewrites):\n%s", diff)
			}
		})
	}
}

func text(files []txtar.File) string {
	return string(txtar.Format(&txtar.Archive{Files: files}))
}

func input(t *testing.T, archive *txtar.Archive) (blueprint.Input, []txtar.File) {
	t.Helper()
	in := blueprint.Input{Blueprints: map[string]*v1beta1.BackupBlueprint{}, Templates: map[string]*v1beta1.BackupTemplate{}}
	var f facts
	var kept []txtar.File
	for _, file := range archive.Files {
		switch file.Name {
		case "workload.yaml":
			in.Target = workload(t, file.Data)
		case "blueprints.yaml":
			blueprints(t, &in, file.Data)
		case "facts.yaml":
			decode(t, file.Data, &f)
		case "objects.yaml", "warnings", "problems":
			continue
		default:
			t.Fatalf("nothing reads %q", file.Name)
		}
		kept = append(kept, file)
	}
	in.OperatorNamespace = f.OperatorNamespace
	if f.Default != nil {
		in.Default = *f.Default
	}
	in.NamespaceLabels, in.Holder, in.Target.UID = f.NamespaceLabels, f.Holder, types.UID(f.UID)
	return in, kept
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
}

func workload(t *testing.T, data []byte) blueprint.Target {
	t.Helper()
	var meta metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(data, &meta); err != nil {
		t.Fatal(err)
	}
	k, err := target.Find(meta.APIVersion, meta.Kind)
	if err != nil {
		return blueprint.Target{Kind: k, Namespace: meta.Namespace, Name: meta.Name, Annotations: meta.Annotations}
	}
	obj := k.New()
	decode(t, data, obj)
	out, ok := blueprint.TargetOf(obj, meta.Namespace)
	if !ok {
		t.Fatalf("%s is no target", k)
	}
	return out
}

func blueprints(t *testing.T, in *blueprint.Input, data []byte) {
	t.Helper()
	for doc := range bytes.SplitSeq(data, []byte("\n---\n")) {
		var b v1beta1.BackupBlueprint
		decode(t, doc, &b)
		switch b.Kind {
		case v1beta1.KindBackupTemplate:
			in.Templates[b.Name] = &v1beta1.BackupTemplate{ObjectMeta: b.ObjectMeta, Spec: b.Spec}
		case v1beta1.KindBackupBlueprint:
			in.Blueprints[b.Name] = &b
		default:
			t.Fatalf("kind %q among the blueprints", b.Kind)
		}
	}
}

func results(t *testing.T, in blueprint.Input) []txtar.File {
	t.Helper()
	expansion, problems := blueprint.Expand(in)
	var objects []string
	for _, p := range expansion.Pairs {
		for _, obj := range []any{p.Repository, p.Configuration} {
			data, err := yaml.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			objects = append(objects, string(data))
		}
	}
	var found []string
	for i, e := range problems.ErrorList() {
		found = append(found, fmt.Sprintf("%s: %s", problems[i].Reason, e.Error()))
	}
	for _, w := range expansion.Warnings {
		if len(w) > 256 {
			t.Errorf("the warning is longer than clients print: %q", w)
		}
	}
	var out []txtar.File
	for _, f := range []struct{ name, text string }{
		{"objects.yaml", strings.Join(objects, "---\n")},
		{"warnings", strings.Join(expansion.Warnings, "\n")},
		{"problems", strings.Join(found, "\n")},
	} {
		if f.text != "" {
			out = append(out, txtar.File{Name: f.name, Data: []byte(strings.TrimRight(f.text, "\n") + "\n")})
		}
	}
	return out
}
