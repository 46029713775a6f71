package controller

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

func TestASessionHasTheRetriesOfItsConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		config *v1beta1.RetryConfig
		want   int32
	}{
		"none where nothing is said": {nil, 0},
		"one where only a delay is":  {&v1beta1.RetryConfig{}, 1},
		"none where the number is 0": {&v1beta1.RetryConfig{MaxRetry: new(int32(0))}, 0},
		"as many as the number says": {&v1beta1.RetryConfig{MaxRetry: new(int32(3))}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			config := configuration()
			config.Spec.RetryConfig = c.config
			if got := newSession(config, "shop-1").Spec.RetryLeft; got != c.want {
				t.Errorf("%d retries, want %d", got, c.want)
			}
		})
	}
}

// TestExpansions runs the cases in testdata/expansion. Each holds workload.yaml, unless it is gone,
// and stored.yaml, what else there is; wanted are the events and what is stored afterwards.
func TestExpansions(t *testing.T) {
	files, err := filepath.Glob("testdata/expansion/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".txtar"), "-", " "), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string][]byte{}
			var kept []txtar.File
			for _, f := range archive.Files {
				switch f.Name {
				case "workload.yaml", "stored.yaml":
					parts[f.Name] = f.Data
					kept = append(kept, f)
				case "events", "objects.yaml":
				default:
					t.Fatalf("nothing reads %q", f.Name)
				}
			}
			got := expansion(t, parts)
			if *update {
				out := &txtar.Archive{Comment: archive.Comment, Files: append(kept, got...)}
				if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := txtar.Format(&txtar.Archive{Files: archive.Files[len(kept):]})
			if d := cmp.Diff(string(want), string(txtar.Format(&txtar.Archive{Files: got}))); d != "" {
				t.Errorf("-want +got (-update rewrites):\n%s", d)
			}
		})
	}
}

// expansion reconciles a workload and returns what came of it.
func expansion(t *testing.T, parts map[string][]byte) []txtar.File {
	t.Helper()
	scheme := newWorld(t, interceptor.Funcs{}).Scheme()
	var objs []client.Object
	for doc := range strings.SplitSeq(string(parts["stored.yaml"]), "\n---\n") {
		objs = append(objs, object(t, scheme, []byte(doc)))
	}
	w := newWorld(t, interceptor.Funcs{}, objs...)
	r := &Workloads{World: w, Kind: target.Deployment(), Rollouts: &Rollouts{}}
	if doc, there := parts["workload.yaml"]; there {
		// Once more, as it is done all the time.
		for range 2 {
			if err := r.expand(t.Context(), object(t, scheme, doc)); err != nil {
				t.Fatal(err)
			}
		}
	} else if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "demo", Name: "web"}}); err != nil {
		t.Fatal(err)
	}
	var out []txtar.File
	if text := told(t, w); text != "" {
		out = append(out, txtar.File{Name: "events", Data: []byte(text)})
	}
	return append(out, txtar.File{Name: "objects.yaml", Data: stored(t, w)})
}

// told are the events that were made, each once.
func told(t *testing.T, w *World) string {
	t.Helper()
	n, ok := w.Events.(*notes)
	if !ok {
		t.Fatalf("events go to a %T", w.Events)
	}
	var out strings.Builder
	for i, reason := range n.reasons {
		if line := fmt.Sprintf("%s: %s\n", reason, n.list[i]); !strings.Contains(out.String(), line) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// stored are the Repositories and BackupConfigurations.
func stored(t *testing.T, w *World) []byte {
	t.Helper()
	var repos v1alpha1.RepositoryList
	var configs v1beta1.BackupConfigurationList
	for _, list := range []client.ObjectList{&repos, &configs} {
		if err := w.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	var objs []client.Object
	for i := range repos.Items {
		objs = append(objs, &repos.Items[i])
	}
	for i := range configs.Items {
		objs = append(objs, &configs.Items[i])
	}
	var out [][]byte
	for _, o := range objs {
		o.SetResourceVersion("")
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	return bytes.Join(out, []byte("---\n"))
}
