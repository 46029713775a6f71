package controller

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// TestTasks runs the cases in testdata/tasks: which task an agent is given, of the objects that there
// are. Together they fill every field of a task: one that nobody wires would be missing.
func TestTasks(t *testing.T) {
	files, err := filepath.Glob("testdata/tasks/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	missing := map[string]bool{}
	for _, task := range []any{
		protocol.Task{},
		protocol.Cache{},
		protocol.IONice{},
		protocol.Backup{},
		protocol.Restore{},
		protocol.RestoreSnapshot{},
		protocol.Maintain{},
		protocol.Forget{},
		protocol.Group{},
		protocol.Query{},
		protocol.DeadLocks{},
		protocol.Look{},
	} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(task)) {
			missing[reflect.TypeOf(task).Name()+"."+f.Name] = true
		}
	}
	for _, file := range files {
		t.Run(strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".txtar"), "-", " "), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) < 2 || archive.Files[0].Name != "agent.yaml" || archive.Files[1].Name != "objects.yaml" {
				t.Fatal("it begins with agent.yaml and objects.yaml")
			}
			task := taskOf(t, archive.Files[0].Data, archive.Files[1].Data)
			found(reflect.ValueOf(task), missing)
			got, err := yaml.Marshal(task)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				archive.Files = append(archive.Files[:2], txtar.File{Name: "task.yaml", Data: got})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(archive.Files) != 3 || archive.Files[2].Name != "task.yaml" {
				t.Fatal("no task.yaml: run with -update and read what it says")
			}
			if d := cmp.Diff(string(archive.Files[2].Data), string(got)); d != "" {
				t.Errorf("task (-want +got; -update rewrites):\n%s", d)
			}
		})
	}
	// The agent answers it; nothing of the operator asks it yet.
	delete(missing, "Query.Path")
	// Agents do them; no Job that would is made yet.
	delete(missing, "Task.Dump")
	delete(missing, "Task.Load")
	for name := range missing {
		t.Errorf("no case sets %s", name)
	}
}

// taskOf returns the one task that an agent is given.
func taskOf(t *testing.T, agent, objects []byte) protocol.Task {
	t.Helper()
	var id broker.Identity
	if err := yaml.UnmarshalStrict(agent, &id); err != nil {
		t.Fatal(err)
	}
	var objs []client.Object
	g := NewAgents(newWorld(t, interceptor.Funcs{}))
	for doc := range strings.SplitSeq(string(objects), "\n---\n") {
		objs = append(objs, object(t, g.Scheme(), []byte(doc)))
		switch o := objs[len(objs)-1].(type) {
		case *v1beta1.RestoreSession:
			id.Restore = mutators.HashRestore(string(o.UID))
			o.Status.Hash = id.Restore
		case *v1alpha1.Repository:
			if w := o.Status.Work; w != nil && session.Exclusive(w.Operation) {
				objs = append(objs, lease(g.World, o, "demo/repo/"+w.ID, time.Second))
			}
		}
	}
	g = NewAgents(newWorld(t, interceptor.Funcs{}, objs...))
	orders, err := g.Orders(t.Context(), id, func(string) bool { return false })
	if err != nil || len(orders.Tasks) != 1 {
		t.Fatalf("%+v, %v", orders, err)
	}
	return orders.Tasks[0]
}

// object decodes an object strictly.
func object(t *testing.T, scheme *runtime.Scheme, doc []byte) client.Object {
	t.Helper()
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &meta); err != nil {
		t.Fatal(err)
	}
	empty, err := scheme.New(meta.GroupVersionKind())
	if err != nil {
		t.Fatal(err)
	}
	obj, ok := empty.(client.Object)
	if !ok {
		t.Fatalf("%s is no object", meta.Kind)
	}
	if err := yaml.UnmarshalStrict(doc, obj); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
	return obj
}

// found takes away the fields of the protocol that are set.
func found(v reflect.Value, missing map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			found(v.Elem(), missing)
		}
	case reflect.Slice:
		for i := range v.Len() {
			found(v.Index(i), missing)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				delete(missing, v.Type().Name()+"."+v.Type().Field(i).Name)
				found(v.Field(i), missing)
			}
		}
	default:
	}
}
