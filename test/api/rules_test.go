package api_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/test/manifest"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata")

// testRules creates new.yaml, or changes old.yaml to it; error.txt is what the API server says,
// nothing where it accepts.
func testRules(t *testing.T, s *apiserver.Server) {
	eachCase(t, "testdata/rules/*.txtar", func(t *testing.T, parts map[string]*txtar.File) {
		object := parse(t, parts["new.yaml"])
		object.SetNamespace("demo")
		var err error
		if old := parts["old.yaml"]; old == nil {
			err = s.Client.Create(t.Context(), object, client.DryRunAll)
		} else {
			stored := parse(t, old)
			stored.SetNamespace("demo")
			if err := s.Client.Create(t.Context(), stored); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Kubectl(t, "", "delete", "--namespace=demo", stored.GetKind(), stored.GetName()) })
			object.SetResourceVersion(stored.GetResourceVersion())
			err = s.Client.Update(t.Context(), object, client.DryRunAll)
		}
		got := ""
		if err != nil {
			got = err.Error() + "\n"
		}
		golden(t, parts["error.txt"], got)
	})
}

// eachCase runs a subtest for every archive; with -update, the archive is written back.
func eachCase(t *testing.T, pattern string, run func(*testing.T, map[string]*txtar.File)) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", pattern, err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(strings.ReplaceAll(name, "-", " "), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]*txtar.File{}
			for i := range archive.Files {
				parts[archive.Files[i].Name] = &archive.Files[i]
			}
			run(t, parts)
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// golden compares what is with what is written down, or writes it down.
func golden(t *testing.T, want *txtar.File, got string) {
	t.Helper()
	switch {
	case want == nil:
		t.Fatal("the archive has no part for the result")
	case *update:
		want.Data = []byte(got)
	default:
		if diff := cmp.Diff(string(want.Data), got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func parse(t *testing.T, file *txtar.File) *unstructured.Unstructured {
	t.Helper()
	if file == nil {
		t.Fatal("the archive lacks a manifest")
	}
	objects, err := manifest.Parse(file.Data)
	if err != nil || len(objects) != 1 {
		t.Fatalf("%s: %d objects, want one: %v", file.Name, len(objects), err)
	}
	return objects[0]
}
