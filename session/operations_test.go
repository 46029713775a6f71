package session_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/session"
)

// TestEveryOperationIsDecided holds the operations that a Repository's status may name to those that
// a case of testdata/work decides.
func TestEveryOperationIsDecided(t *testing.T) {
	files, err := filepath.Glob("testdata/work/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	decided := map[string]bool{}
	for _, f := range files {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		o := &session.Repository{Limits: session.DefaultLimits()}
		decode(t, a.Files[0].Data, o)
		decided[string(session.NextWork(o, noon()).Operation)] = true
	}
	names := operations(t)
	if len(names) == 0 || !slices.Contains(names, string(v1alpha1.OperationForget)) {
		t.Fatalf("the definition names %v", names)
	}
	for _, name := range names {
		if !decided[name] {
			t.Errorf("no case decides %s: remove it, or decide it", name)
		}
	}
}

// operations are those that the definition of a Repository allows.
func operations(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("../deploy/crds/stash.appscode.com_repositories.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd map[string]any
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(crd, "spec", "versions")
	if err != nil || len(versions) == 0 {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	version, _ := versions[0].(map[string]any)
	path := "schema.openAPIV3Schema.properties.status.properties.work.properties.operation.enum"
	names, _, err := unstructured.NestedStringSlice(version, strings.Split(path, ".")...)
	if err != nil {
		t.Fatal(err)
	}
	return names
}
