package task_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	appcatalog "github.com/seed-731df569/stash/api/appcatalog/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/task"
	"github.com/seed-731df569/stash/test/manifest"
)

// TestCorpusResolves decodes the Functions, Tasks and AppBindings of the corpus strictly, and resolves
// every Task with them.
func TestCorpusResolves(t *testing.T) {
	functions, tasks, bindings := map[string]*v1beta1.Function{}, []*v1beta1.Task{}, []*appcatalog.AppBinding{}
	for path, objects := range corpus(t) {
		for _, o := range objects {
			_, _, err := unstructured.NestedStringMap(o.Object, "metadata", "labels")
			if err != nil || !slices.Contains([]string{"Function", "Task", "AppBinding"}, o.GetKind()) {
				continue // what has other labels is no object at all
			}
			typed, err := manifest.Typed(o)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			switch typed := typed.(type) {
			case *v1beta1.Function:
				functions[strings.ToLower(typed.Name)] = typed
			case *v1beta1.Task:
				tasks = append(tasks, typed)
			case *appcatalog.AppBinding:
				bindings = append(bindings, typed)
			}
		}
	}
	if len(functions) == 0 || len(tasks) == 0 || len(bindings) == 0 {
		t.Fatalf("%d Functions, %d Tasks, %d AppBindings", len(functions), len(tasks), len(bindings))
	}
	var s situation
	decode(t, []byte(`
repository: {metadata: {name: repo, namespace: demo}, spec: {backend: {storageSecretName: keys, s3: {endpoint: s3.example.com, bucket: b, prefix: p}}}}
backup: {metadata: {name: nightly, namespace: demo}, spec: {target: {ref: {apiVersion: v1, kind: PersistentVolumeClaim, name: data}}, retentionPolicy: {keepLast: 5}}}
host: host-0`), &s)
	for _, tk := range tasks {
		plan, problems := task.Resolve(tk, functions, s.inputs())
		for _, p := range problems {
			t.Errorf("Task %s: %v", tk.Name, p)
		}
		for _, step := range plan.Steps {
			if step.Own == nil || step.Container.Image == "" {
				t.Errorf("Task %s: Function %s is not of the catalogue, or was not found", tk.Name, step.Function)
			}
		}
	}
}

// corpus returns the objects of the manifests of the existing Stash, which are not part of this
// repository, by file.
func corpus(t *testing.T) map[string][]*unstructured.Unstructured {
	t.Helper()
	dir := os.Getenv("CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no corpus: set CORPUS to a folder with manifests of the existing Stash (%v)", err)
	}
	out := map[string][]*unstructured.Unstructured{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			out[path], err = manifest.Parse(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
