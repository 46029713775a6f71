package layers_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const maxLines = 400

var (
	generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	// errorText finds decisions by the text of an error.
	errorText = regexp.MustCompile(`(?m)^.*(strings\.\w+\([\w.]*\.Error\(\), |\.Error\(\) [!=]= |[!=]= [\w.]+\.Error\(\)).*$`)
	// nameless are names of folders that say nothing of what is in them.
	nameless = []string{"utils", "util", "common", "helpers", "types", "pkg", "vendor"}
)

func TestFiles(t *testing.T) {
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "bin" || strings.HasPrefix(entry.Name(), ".") && path != "."):
			return fs.SkipDir
		case entry.IsDir() && slices.Contains(nameless, entry.Name()):
			t.Errorf("folder %s: name it by what it decides or does; nothing is vendored", path)
			return nil
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

func TestFilesThatDecideByTextsOfErrorsAreFound(t *testing.T) {
	for line, want := range map[string]bool{
		`if strings.Contains(err.Error(), "no such") {`:        true,
		`return strings.HasPrefix(result.err.Error(), prefix)`: true,
		`if err.Error() == "EOF" {`:                            true,
		`case "EOF" != err.Error():`:                           true,
		`result.Error = err.Error()`:                           false,
		`return shorten(err.Error()), nil`:                     false,
		`if errors.Is(err, io.EOF) {`:                          false,
	} {
		if got := errorText.MatchString(line); got != want {
			t.Errorf("%s: found is %t", line, got)
		}
	}
}

func TestFilesOfModulesReplaceNothing(t *testing.T) {
	for _, name := range []string{"../../go.mod", "../../tools/go.mod"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`(?m)^\s*replace\b`).Match(text) {
			t.Errorf("%s replaces a module: who depends on ours would get another one", name)
		}
	}
}
