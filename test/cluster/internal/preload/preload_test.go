package preload_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-731df569/stash/test/cluster/internal/preload"
)

// A stand-in for ctr that writes down what it is asked to import.
const ctr = `#!/bin/sh
for last; do :; done
echo "$(basename "$last")" >> "$CTR_LOG"
`

func TestAnOlderImageIsImportedAgain(t *testing.T) {
	bin, archives, markers := t.TempDir(), t.TempDir(), t.TempDir()
	log := filepath.Join(bin, "log")
	if err := os.WriteFile(filepath.Join(bin, "ctr"), []byte(ctr), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("CTR_LOG", log)
	load := func(name string) {
		t.Helper()
		for _, f := range []string{"stash%3Adev@1.tar", "stash%3Adev@2.tar"} {
			_ = os.Remove(filepath.Join(archives, f))
		}
		if err := os.WriteFile(filepath.Join(archives, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := preload.Import("socket", archives, markers); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(archives, "other%3Adev@9.tar"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stash%3Adev@1.tar", "stash%3Adev@1.tar", "stash%3Adev@2.tar", "stash%3Adev@1.tar"} {
		load(name)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want := "other%3Adev@9.tar\nstash%3Adev@1.tar\nstash%3Adev@2.tar\nstash%3Adev@1.tar\n"
	if string(text) != want {
		t.Errorf("imported:\n%swant:\n%s", text, want)
	}
	left, err := os.ReadDir(markers)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if want := []string{"other%3Adev@9.tar", "stash%3Adev@1.tar"}; !slices.Equal(names, want) {
		t.Errorf("markers = %v, want %v", names, want)
	}
}
