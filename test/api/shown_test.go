package api_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/test/apiserver"
)

var (
	ago = regexp.MustCompile(`<(\w+) ago>`)
	age = regexp.MustCompile(`(?m) \d+s( |$)`)
)

// testShown stores object.yaml with its status and compares the output of every command that a
// part of the archive is named after. <5m ago> in the object is a time.
func testShown(t *testing.T, s *apiserver.Server) {
	eachCase(t, "testdata/shown/*.txtar", func(t *testing.T, parts map[string]*txtar.File) {
		file := parts["object.yaml"]
		text := ago.ReplaceAllFunc(file.Data, func(match []byte) []byte {
			d, err := time.ParseDuration(string(ago.FindSubmatch(match)[1]))
			if err != nil {
				t.Fatal(err)
			}
			return []byte(time.Now().Add(-d).UTC().Format(time.RFC3339))
		})
		object := parse(t, &txtar.File{Name: file.Name, Data: text})
		object.SetNamespace("demo")
		status := object.Object["status"]
		if err := s.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Kubectl(t, "", "delete", "--namespace=demo", object.GetKind(), object.GetName()) })
		if status != nil {
			object.Object["status"] = status
			if err := s.Client.Status().Update(t.Context(), object); err != nil {
				t.Fatal(err)
			}
		}
		for name, part := range parts {
			if arguments, ok := strings.CutPrefix(name, "kubectl "); ok {
				out := s.Kubectl(t, "", append(strings.Fields(arguments), "--namespace=demo")...)
				golden(t, part, trimLines(age.ReplaceAllString(out, " AGE$1")))
			}
		}
	})
}

func trimLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, " \n")+"\n")
	}
	return strings.Join(lines, "")
}

// testExplain walks the stored schemas: a field that says nothing is a question to somebody.
func testExplain(t *testing.T, s *apiserver.Server) {
	var crds apiextensionsv1.CustomResourceDefinitionList
	if err := yaml.Unmarshal([]byte(s.Kubectl(t, "", "get", "crd", "--output=yaml")), &crds); err != nil {
		t.Fatal(err)
	}
	for _, crd := range crds.Items {
		for _, version := range crd.Spec.Versions {
			for _, name := range []string{"spec", "status"} {
				schema := version.Schema.OpenAPIV3Schema.Properties[name]
				explained(t, field.NewPath(crd.Name, version.Name, name), &schema)
			}
		}
	}
	if out := s.Kubectl(t, "", "explain", "backupconfiguration.spec.schedule"); !strings.Contains(out, "cron") {
		t.Errorf("kubectl explain says nothing of cron:\n%s", out)
	}
}

func explained(t *testing.T, path *field.Path, schema *apiextensionsv1.JSONSchemaProps) {
	for name, property := range schema.Properties {
		if property.Description == "" && !slices.Contains([]string{"apiVersion", "kind"}, name) {
			t.Errorf("%s has no description", path.Child(name))
		}
		explained(t, path.Child(name), &property)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		explained(t, path, schema.Items.Schema)
	}
}

// testStatus tells spec and status apart: each has an endpoint of its own.
func testStatus(t *testing.T, s *apiserver.Server) {
	for kind, spec := range map[string]map[string]any{
		"BackupConfiguration": {"retentionPolicy": map[string]any{"keepLast": int64(3)}},
		"BackupSession":       {"invoker": map[string]any{"kind": "BackupConfiguration", "name": "any"}},
		"RestoreSession":      {},
	} {
		t.Run(kind, func(t *testing.T) {
			object := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "stash.appscode.com/v1beta1", "kind": kind,
				"metadata": map[string]any{"name": "subresource", "namespace": "demo"},
				"spec":     spec,
				"status":   map[string]any{"conditions": []any{map[string]any{"type": "Made", "status": "True"}}},
			}}
			if err := s.Client.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := unstructured.NestedSlice(object.Object, "status", "conditions"); ok || err != nil {
				t.Errorf("status was written with the object (%v)", err)
			}
			object.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Made", "status": "True"}}}
			object.SetLabels(map[string]string{"made": "by-status"})
			if err := s.Client.Status().Update(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := unstructured.NestedSlice(object.Object, "status", "conditions"); !ok || err != nil {
				t.Errorf("status was not written (%v)", err)
			}
			if object.GetLabels() != nil {
				t.Errorf("labels were written with the status: %v", object.GetLabels())
			}
		})
	}
}
