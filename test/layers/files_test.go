package layers_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const maxLines = 400

var (
	generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	// errorText finds decisions by the text of an error.
	errorText = regexp.MustCompile(`(?m)^.*strings\.\w+\([\w.]*\.Error\(\), .*$`)
)

func TestFiles(t *testing.T) {
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "bin" || strings.HasPrefix(entry.Name(), ".") && path != "."):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		text, err := fs.ReadFile(root, path)
		if err != nil || generated.Match(text) {
			return err
		}
		if lines := bytes.Count(text, []byte("\n")); lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it by what its parts do", path, lines, maxLines)
		}
		if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test") {
			return nil // tests look at what people read
		}
		for _, line := range errorText.FindAll(text, -1) {
			t.Errorf("%s decides by the text of an error; use errors.Is or errors.As: %s", path, bytes.TrimSpace(line))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
