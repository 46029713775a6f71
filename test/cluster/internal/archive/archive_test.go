package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestArchiveNamesItsImage(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	image := Image{Ref: "example.local/x:1", Entries: []Entry{
		{Path: "tmp", Dir: true}, {Path: "bin/program", Source: program}, {Path: "bin/link", Link: "program"},
	}}
	first, second := filepath.Join(dir, "1.tar"), filepath.Join(dir, "2.tar")
	for _, f := range []string{first, second} {
		if err := Write(f, image); err != nil {
			t.Fatal(err)
		}
	}
	one, two := read(t, first), read(t, second)
	if !bytes.Equal(one, two) {
		t.Error("the same image gave other bytes")
	}
	ref, id, err := Identify(first)
	if err != nil || ref != image.Ref || len(id) != 64 {
		t.Errorf("identified %q %q (%v)", ref, id, err)
	}
	if err := os.WriteFile(program, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(second, image); err != nil {
		t.Fatal(err)
	}
	if _, other, err := Identify(second); err != nil || other == id {
		t.Errorf("other content has the same ID %s (%v)", other, err)
	}
}

func TestIdentifyRefusesOtherFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(file, make([]byte, 1024), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Identify(file); err == nil {
		t.Error("an empty tar file was taken for an image")
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
