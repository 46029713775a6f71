package restic_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/tools/txtar"

	"github.com/seed-731df569/stash/restic"
)

// seed adds the recorded outputs.
func seed(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range archive.Files {
			if section.Name != "want" && len(section.Data) < 4<<10 {
				f.Add(section.Data)
			}
		}
	}
	f.Add([]byte("{"))
	f.Add([]byte("null"))
	f.Add([]byte(`{"nodes":{}}`))
}

func FuzzLines(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		var s restic.Stderr
		for line := range bytes.Lines(text) {
			s.Line(line)
			(&restic.BackupOutput{OnStatus: func(restic.BackupStatus) {}}).Line(line)
			(&restic.RestoreOutput{OnStatus: func(restic.RestoreStatus) {}, OnItem: func(string) {}}).Line(line)
			(&restic.CheckOutput{}).Line(line)
			(&restic.InitOutput{}).Line(line)
		}
		message := s.Message()
		if strings.ContainsAny(message, "\n\r\x00\x1b") || !utf8.ValidString(message) || len(message) > 10000 {
			t.Errorf("message = %q, want one short line of text", message)
		}
		restic.Classify(restic.ExitFailed, message)
		if len(s.Items) > restic.MaxItems || len(s.Faults) > restic.MaxItems || len(s.Tail()) > 20 {
			t.Error("what is kept is not bounded")
		}
	})
}

func FuzzDocuments(f *testing.F) {
	seed(f)
	f.Fuzz(func(_ *testing.T, text []byte) {
		r := func() *bytes.Reader { return bytes.NewReader(text) }
		_, _ = restic.ReadSnapshots(r())
		_, _ = restic.ReadForgetPlan(r())
		_, _ = restic.ReadStats(r())
		_, _ = restic.ReadConfig(r())
		_, _ = restic.ReadLock(r())
		_, _ = restic.ReadList(r())
		_, _, _ = restic.FindNode(r(), "data")
		_ = restic.ReadNodes(r(), func(restic.Node) {})
	})
}

func FuzzUserArgs(f *testing.F) {
	for _, args := range []string{"--exclude\n*.log", "--tag=x", "-e\n--repo", "--exclude=--password-command=id", "--", "-"} {
		f.Add(args)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := restic.ParseBackupArgs(strings.Split(text, "\n"))
		if err != nil {
			return
		}
		for _, arg := range parsed {
			if !strings.HasPrefix(arg, "--") || arg == "--" || strings.HasPrefix(arg, "--password") || strings.HasPrefix(arg, "--repo") {
				t.Errorf("%q became %q", text, parsed)
			}
		}
		again, err := restic.ParseBackupArgs(parsed)
		if err != nil || len(again) != len(parsed) {
			t.Errorf("what was parsed, %q, is not taken: %v", parsed, err)
		}
	})
}

func FuzzRelativePatterns(f *testing.F) {
	for _, p := range []string{"/source/data/*.json", "**/x", "/**", "!a", `\`, "[a-"} {
		f.Add(p, "/source/data")
	}
	f.Fuzz(func(t *testing.T, pattern, dir string) {
		relative, _, err := restic.RelativePatterns([]string{pattern}, dir, false)
		if err != nil {
			return
		}
		for _, p := range relative {
			if p == "" || p == "/" || strings.HasPrefix(p, "//") {
				t.Errorf("%q in %q became %q", pattern, dir, relative)
			}
		}
	})
}

func TestNothingButTheStandardLibraryIsImported(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") && bytes.Contains(text, []byte(`"github.com/`)) {
			t.Errorf("%s imports a module: the agent links this package and must stay small", file)
		}
	}
}
