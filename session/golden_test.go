package session_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/session"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// noon is when all cases happen; times in the files are relative to it.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// TestBackupNeeds decides what a BackupSession needs next: each file holds what is observed and the
// one action that follows.
func TestBackupNeeds(t *testing.T) {
	golden(t, "backup", func(t *testing.T, in []byte) any {
		o := &session.Backup{Limits: session.DefaultLimits()}
		decode(t, in, o)
		first := session.Next(o, noon())
		if again := session.Next(o, noon()); !cmp.Equal(first, again) {
			t.Errorf("a second look decides otherwise: %s", cmp.Diff(first, again))
		}
		return first
	})
}

// TestRestoreNeeds is the same for a RestoreSession.
func TestRestoreNeeds(t *testing.T) {
	golden(t, "restore", func(t *testing.T, in []byte) any {
		o := &session.Restore{Limits: session.DefaultLimits()}
		decode(t, in, o)
		return session.NextRestore(o, noon())
	})
}

// TestRepositoryNeeds is the same for a Repository.
func TestRepositoryNeeds(t *testing.T) {
	golden(t, "work", func(t *testing.T, in []byte) any {
		o := &session.Repository{Limits: session.DefaultLimits()}
		decode(t, in, o)
		return session.NextWork(o, noon())
	})
}

func golden(t *testing.T, dir string, decide func(*testing.T, []byte) any) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata/%s: %v", dir, err)
	}
	for _, f := range files {
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(f), ".txtar"), "-", " ")
		t.Run(name, func(t *testing.T) {
			a, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			in := a.Files[0]
			if in.Name != "observed.yaml" {
				t.Fatalf("first file is %q, want observed.yaml", in.Name)
			}
			got, err := yaml.Marshal(brief(t, decide(t, in.Data)))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				a.Files = []txtar.File{in, {Name: "action.yaml", Data: got}}
				if err := os.WriteFile(f, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) != 2 || a.Files[1].Name != "action.yaml" {
				t.Fatal("no action.yaml: run with -update and read what it says")
			}
			if d := cmp.Diff(string(a.Files[1].Data), string(got)); d != "" {
				t.Errorf("action differs (-want +got):\n%s", d)
			}
		})
	}
}

func decode(t *testing.T, in []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(in, into); err != nil {
		t.Fatal(err)
	}
}

// brief leaves out what is empty, so that a golden shows what was decided.
func brief(t *testing.T, action any) map[string]any {
	t.Helper()
	b, err := yaml.Marshal(action)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := yaml.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for k, v := range m {
		switch x := v.(type) {
		case nil:
			delete(m, k)
		case string:
			if x == "" {
				delete(m, k)
			}
		case bool:
			if !x {
				delete(m, k)
			}
		case float64:
			if x == 0 {
				delete(m, k)
			} else if k == "After" {
				m[k] = time.Duration(x).String()
			}
		}
	}
	return m
}
