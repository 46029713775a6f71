package validators_test

import (
	"fmt"
	"os"
	"path/filepath"
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

// TestAccessNeeded runs the cases in testdata/access. Each holds new.yaml, perhaps old.yaml, and the
// rights that the request needs, one a line; no such part where it needs none.
func TestAccessNeeded(t *testing.T) {
	files, err := filepath.Glob("testdata/access/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var object, old runtime.Object
			var kept []txtar.File
			for _, f := range archive.Files {
				switch f.Name {
				case "new.yaml":
					object = ours(t, f.Data)
				case "old.yaml":
					old = ours(t, f.Data)
				case "access":
					continue
				default:
					t.Fatalf("nothing reads %q", f.Name)
				}
				kept = append(kept, f)
			}
			got := &txtar.Archive{Comment: archive.Comment, Files: kept}
			if lines := accessLines(validators.AccessNeeded(object, old)); lines != "" {
				got.Files = append(got.Files, txtar.File{Name: "access", Data: []byte(lines)})
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(got))); diff != "" {
				t.Fatalf("-want +got (-update rewrites):\n%s", diff)
			}
		})
	}
}

func accessLines(list []validators.Access) string {
	var b strings.Builder
	for _, a := range list {
		namespace, name := "all namespaces", "any name"
		if a.Namespace != "" {
			namespace = "namespace " + a.Namespace
		}
		if a.Name != "" {
			name = a.Name
		}
		fmt.Fprintf(&b, "%s: %s %s %s, %s, %s: %s\n", a.Field, a.Verb, strings.TrimSuffix(a.Resource+"."+a.Group, "."), a.Subresource, name, namespace, a.Why)
	}
	return strings.ReplaceAll(b.String(), " , ", ", ")
}

// ours decodes an object of one of our kinds.
func ours(t *testing.T, data []byte) runtime.Object {
	t.Helper()
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(data, &meta); err != nil {
		t.Fatal(err)
	}
	object := map[string]runtime.Object{
		"Repository": &v1alpha1.Repository{}, "BackupConfiguration": &v1beta1.BackupConfiguration{},
		"BackupSession": &v1beta1.BackupSession{}, "RestoreSession": &v1beta1.RestoreSession{},
		"BackupBlueprint": &v1beta1.BackupBlueprint{}, "BackupTemplate": &v1beta1.BackupTemplate{},
		"ProtectionPolicy": &v1beta1.ProtectionPolicy{}, "Function": &v1beta1.Function{}, "Task": &v1beta1.Task{},
	}[meta.Kind]
	if object == nil {
		t.Fatalf("kind %q", meta.Kind)
	}
	decode(t, data, object)
	return object
}

// TestTypedNilIsNoOldObject: callers hold pointers to kinds.
func TestTypedNilIsNoOldObject(t *testing.T) {
	repo := &v1alpha1.Repository{}
	repo.Spec.Backend.StorageSecretName = "keys"
	b := &v1beta1.BackupBlueprint{Spec: v1beta1.BackupBlueprintSpec{Backend: repo.Spec.Backend}}
	if len(validators.AccessNeeded(repo, (*v1alpha1.Repository)(nil))) != 1 || len(validators.AccessNeeded(b, (*v1beta1.BackupBlueprint)(nil))) != 1 {
		t.Error("a right was forgotten")
	}
}

// A kind that is backed up in another way needs other rights: whoever supports it says which.
func TestTheRightsOfEverySupportedKindAreKnown(t *testing.T) {
	for _, k := range target.All() {
		c := &v1beta1.BackupConfiguration{}
		c.Namespace = "demo"
		c.Spec.Target = &v1beta1.BackupTarget{Ref: k.Ref("", "web")}
		access := validators.AccessNeeded(c, nil)
		switch {
		case k.Supported && k.GVK == target.PersistentVolumeClaim().GVK:
			if len(access) != 1 || access[0].Resource != "pods" || access[0].Verb != "create" || access[0].Namespace != "demo" || access[0].Name != "" {
				t.Errorf("%s: %+v", k, access)
			}
		case k.Supported && k.Model != target.ModelSidecar:
			t.Errorf("nobody has said which rights a backup of a %s needs", k)
		case k.Supported && (len(access) != 1 || access[0].Resource != k.Resource || access[0].Group != k.GVK.Group || access[0].Name != "web"):
			t.Errorf("%s: %+v", k, access)
		case !k.Supported && len(access) > 0:
			t.Errorf("%s is not supported: %+v", k, access)
		}
	}
}
