// Package corpus_test holds our API against manifests of the existing Stash: each must decode
// strictly, come back out as it went in, and be accepted by an API server with our CRDs. The
// manifests are not part of this repository; CORPUS names their folder.
package corpus_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/test/manifest"
)

// stored are the kinds that we have.
var stored = []string{"Repository", "BackupConfiguration", "BackupSession", "RestoreSession", "BackupBlueprint", "BackupTemplate", "Function", "Task", "AppBinding"}

// notStored are the kinds of the same groups that we do not have yet, or that are never stored.
var notStored = []string{"BackupBatch", "RestoreBatch", "Snapshot"}

// found is an object of the corpus.
type found struct {
	file   string
	object *unstructured.Unstructured
}

func TestCorpus(t *testing.T) {
	objects := read(t)
	t.Run("decodes strictly and comes back out", func(t *testing.T) {
		for _, f := range objects {
			t.Run(f.file, func(t *testing.T) { roundTrip(t, f.object) })
		}
	})
	s := apiserver.Start(t, "corpus", 89)
	s.Kubectl(t, "", "apply", "--kustomize", filepath.Join(apiserver.Root, "deploy", "appbinding"))
	s.Kubectl(t, "", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
	for _, namespace := range namespaces(objects) {
		s.Kubectl(t, "", "create", "namespace", namespace)
	}
	t.Run("passes a dry run", func(t *testing.T) {
		for _, f := range objects {
			t.Run(f.file, func(t *testing.T) {
				if err := s.Client.Create(t.Context(), f.object.DeepCopy(), client.DryRunAll); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// read returns the corpus's objects of the kinds that we store.
func read(t *testing.T) []found {
	t.Helper()
	dir := os.Getenv("CORPUS")
	if dir == "" {
		dir = filepath.Join(apiserver.Root, "..", "shared", "corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no corpus: set CORPUS to a folder with manifests of the existing Stash (%v)", err)
	}
	var objects []found
	kinds := map[string]int{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		parsed, err := manifest.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, object := range parsed {
			group := object.GroupVersionKind().Group
			switch kind := object.GetKind(); {
			case group != api.Group && group != api.AppCatalogGroup && group != "repositories."+api.Group:
			case mislabelled(object):
				t.Logf("%s: left out, since no API server takes its labels", path)
			case slices.Contains(stored, kind):
				kinds[kind]++
				if kind == "Function" || kind == "Task" {
					object.SetName(strings.ToLower(object.GetName())) // no object can have capitals
				}
				objects = append(objects, found{path, object})
			case !slices.Contains(notStored, kind):
				t.Errorf("%s: kind %s is in neither list", path, kind)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d objects: %v", len(objects), kinds)
	return objects
}

// mislabelled tells whether a label is no string.
func mislabelled(object *unstructured.Unstructured) bool {
	_, _, err := unstructured.NestedStringMap(object.Object, "metadata", "labels")
	return err != nil
}

// namespaces returns those that the objects are in.
func namespaces(objects []found) []string {
	var names []string
	for _, f := range objects {
		if n := f.object.GetNamespace(); n != "" && n != metav1.NamespaceDefault && n != metav1.NamespaceSystem && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

func roundTrip(t *testing.T, object *unstructured.Unstructured) {
	typed, err := manifest.Typed(object)
	if err != nil {
		t.Fatal(err)
	}
	back, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(normal(object.Object), normal(back)); diff != "" {
		t.Errorf("comes back changed (-in +out):\n%s", diff)
	}
}
