package validators_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/validators"
)

var update = flag.Bool("update", false, "rewrite the wanted results in testdata")

type facts struct {
	OperatorNamespace string                        `json:"operatorNamespace"`
	Namespaces        map[string]map[string]string  `json:"namespaces"`
	Repository        *v1alpha1.Repository          `json:"repository"`
	Target            json.RawMessage               `json:"target"`
	Users             []v1beta1.BackupConfiguration `json:"users"`
	Configurations    []struct {
		Configuration  *v1beta1.BackupConfiguration `json:"configuration"`
		SharesLocation bool                         `json:"sharesLocation"`
	} `json:"configurations"`
	TargetRuns        bool     `json:"targetRuns"`
	InvokerMissing    bool     `json:"invokerMissing"`
	SameLocation      []string `json:"sameLocation"`
	Missing           []string `json:"missing"`
	MissingBlueprints []string `json:"missingBlueprints"`
}

// TestValidators runs the cases in testdata. Each holds new.yaml, perhaps old.yaml and facts.yaml,
// and what is wanted: errors, warnings; neither where the object is accepted without a word.
func TestValidators(t *testing.T) {
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
			parts := map[string][]byte{}
			var kept []txtar.File
			for _, f := range archive.Files {
				switch f.Name {
				case "new.yaml", "old.yaml", "facts.yaml":
					parts[f.Name] = f.Data
					kept = append(kept, f)
				case "errors", "warnings":
				default:
					t.Fatalf("nothing reads %q", f.Name)
				}
			}
			got := results(t, parts)
			if again := results(t, parts); cmp.Diff(got, again) != "" {
				t.Fatalf("a second run differs:\n%s", cmp.Diff(got, again))
			}
			if *update {
				out := &txtar.Archive{Comment: archive.Comment, Files: append(kept, got...)}
				if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := txtar.Format(&txtar.Archive{Files: archive.Files[len(kept):]})
			if diff := cmp.Diff(string(want), string(txtar.Format(&txtar.Archive{Files: got}))); diff != "" {
				t.Fatalf("-want +got (-update rewrites):\n%s", diff)
			}
		})
	}
}

func results(t *testing.T, parts map[string][]byte) []txtar.File {
	t.Helper()
	res := validate(t, parts)
	var errs []string
	for _, e := range res.Errors {
		errs = append(errs, e.Error())
	}
	var out []txtar.File
	for _, f := range []struct {
		name  string
		lines []string
	}{{"errors", errs}, {"warnings", res.Warnings}} {
		if len(f.lines) > 0 {
			out = append(out, txtar.File{Name: f.name, Data: []byte(strings.Join(f.lines, "\n") + "\n")})
		}
	}
	return out
}

func validate(t *testing.T, parts map[string][]byte) validators.Result {
	t.Helper()
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(parts["new.yaml"], &meta); err != nil {
		t.Fatal(err)
	}
	f := readFacts(t, parts["facts.yaml"])
	switch meta.Kind {
	case "Repository":
		return call(t, parts, f, validators.Repository)
	case "BackupConfiguration":
		return call(t, parts, f, validators.BackupConfiguration)
	case "BackupSession":
		return call(t, parts, f, validators.BackupSession)
	case "RestoreSession":
		return call(t, parts, f, validators.RestoreSession)
	case "BackupBlueprint":
		return call(t, parts, f, validators.BackupBlueprint)
	case "BackupTemplate":
		return call(t, parts, f, validators.BackupTemplate)
	case "ProtectionPolicy":
		return call(t, parts, f, validators.ProtectionPolicy)
	case "Function":
		return call(t, parts, f, validators.Function)
	case "Task":
		return call(t, parts, f, validators.Task)
	}
	t.Fatalf("kind %q", meta.Kind)
	return validators.Result{}
}

func call[T any](t *testing.T, parts map[string][]byte, f validators.Facts, v func(obj, old *T, f validators.Facts) validators.Result) validators.Result {
	t.Helper()
	obj := new(T)
	decode(t, parts["new.yaml"], obj)
	before, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	var old *T
	if data, ok := parts["old.yaml"]; ok {
		old = new(T)
		decode(t, data, old)
	}
	res := v(obj, old, f)
	if after, err := json.Marshal(obj); err != nil || string(after) != string(before) {
		t.Fatalf("the object was changed: %v", err)
	}
	return res
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
}

func readFacts(t *testing.T, data []byte) validators.Facts {
	t.Helper()
	var f facts
	decode(t, data, &f)
	out := validators.Facts{
		OperatorNamespace: f.OperatorNamespace, TargetRuns: f.TargetRuns, Namespaces: f.Namespaces, Repository: f.Repository, InvokerMissing: f.InvokerMissing, SameLocation: f.SameLocation, Missing: f.Missing, Users: f.Users,
		MissingBlueprints: f.MissingBlueprints,
	}
	for _, n := range f.Configurations {
		out.Configurations = append(out.Configurations, validators.Neighbour{Configuration: n.Configuration, SharesLocation: n.SharesLocation})
	}
	if len(f.Target) > 0 {
		out.Target = workload(t, f.Target)
	}
	return out
}

func workload(t *testing.T, data []byte) runtime.Object {
	t.Helper()
	var meta metav1.TypeMeta
	if err := json.Unmarshal(data, &meta); err != nil {
		t.Fatal(err)
	}
	k, err := target.Find(meta.APIVersion, meta.Kind)
	if err != nil {
		t.Fatal(err)
	}
	obj := k.New()
	decode(t, data, obj)
	return obj
}

func TestCorpusIsAcceptedOrAnswered(t *testing.T) {
	// As test/corpus does; it is not part of this repository.
	dir := os.Getenv("CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no corpus: set CORPUS to a folder with manifests of the existing Stash (%v)", err)
	}
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for doc := range strings.SplitSeq("\n"+string(data), "\n---") {
			var meta metav1.PartialObjectMetadata
			if yaml.Unmarshal([]byte(doc), &meta) != nil || !strings.HasPrefix(meta.APIVersion, "stash.appscode.com/") || strings.HasSuffix(meta.Kind, "Batch") {
				continue
			}
			seen++
			for _, e := range validate(t, map[string][]byte{"new.yaml": []byte(doc)}).Errors {
				if !strings.Contains(e.Detail, "not supported yet") {
					t.Errorf("%s: %s %s: %v", path, meta.Kind, meta.Name, e)
				}
			}
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatalf("%d objects, %v", seen, err)
	}
	t.Logf("%d objects", seen)
}
