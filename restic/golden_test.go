package restic_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/seed-731df569/stash/restic"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// golden is what is read from an output, as it is written into the files of testdata.
type golden struct {
	Message  string             `json:"message,omitempty"`
	Reason   restic.Reason      `json:"reason,omitempty"`
	Items    []restic.ItemError `json:"items,omitempty"`
	Faults   []string           `json:"faults,omitempty"`
	Statuses int                `json:"statuses,omitempty"`
	Last     any                `json:"last,omitempty"`
	Output   any                `json:"output,omitempty"`
}

// TestOutputsOfRestic reads what restic 0.18 said, recorded in testdata, and compares what we take
// from it.
func TestOutputsOfRestic(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { testGolden(t, file) })
	}
}

func testGolden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var code int
	var command string
	if _, err := fmt.Sscanf(string(archive.Comment), "exit code %d of: restic %s", &code, &command); err != nil {
		t.Fatalf("the first line tells no exit code and command: %v", err)
	}
	sections := map[string][]byte{}
	for _, f := range archive.Files {
		sections[f.Name] = f.Data
	}
	read, err := json.MarshalIndent(readGolden(t, command, string(archive.Comment), code, sections["stdout"], sections["stderr"]), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	read = append(read, '\n')
	if *update {
		archive.Files = []txtar.File{{Name: "stdout", Data: sections["stdout"]}, {Name: "stderr", Data: sections["stderr"]}, {Name: "want", Data: read}}
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(sections["want"]), string(read)); diff != "" {
		t.Errorf("what is read differs (-want +got):\n%s", diff)
	}
}

func readGolden(t *testing.T, command, line string, code int, stdout, stderr []byte) golden {
	t.Helper()
	var g golden
	var s restic.Stderr
	for l := range bytes.Lines(stderr) {
		s.Line(l)
	}
	g.Items, g.Faults = s.Items, s.Faults
	if code != 0 {
		g.Message = s.Message()
		g.Reason = restic.Classify(code, g.Message)
	}
	lines := func(each func([]byte)) {
		for l := range bytes.Lines(stdout) {
			each(l)
		}
	}
	var err error
	switch {
	case command == "backup":
		output := restic.BackupOutput{OnStatus: func(s restic.BackupStatus) { g.Statuses++; g.Last = s }}
		lines(output.Line)
		g.Output = output.Summary
	case command == "restore":
		var items []string
		output := restic.RestoreOutput{
			OnStatus: func(s restic.RestoreStatus) { g.Statuses++; g.Last = s },
			OnItem:   func(item string) { items = append(items, item) },
		}
		lines(output.Line)
		g.Output = struct {
			Summary *restic.RestoreSummary
			Items   []string `json:",omitempty"`
		}{output.Summary, items}
	case command == "check":
		var output restic.CheckOutput
		lines(output.Line)
		g.Output = output.Summary
	case command == "init":
		var output restic.InitOutput
		lines(output.Line)
		g.Output = output.Result
	case code != 0:
	case command == "snapshots":
		g.Output, err = restic.ReadSnapshots(bytes.NewReader(stdout))
	case command == "stats":
		g.Output, err = restic.ReadStats(bytes.NewReader(stdout))
	case command == "forget":
		g.Output, err = restic.ReadForgetPlan(bytes.NewReader(stdout))
	case command == "list":
		g.Output, err = restic.ReadList(bytes.NewReader(stdout))
	case command == "ls":
		var nodes []restic.Node
		err = restic.ReadNodes(bytes.NewReader(stdout), func(n restic.Node) { nodes = append(nodes, n) })
		g.Output = nodes
	case strings.Contains(line, "-- config"):
		g.Output, err = restic.ReadConfig(bytes.NewReader(stdout))
	case strings.Contains(line, "-- lock"):
		g.Output, err = restic.ReadLock(bytes.NewReader(stdout))
	case strings.Contains(line, "-- tree"):
		node, found, findErr := restic.FindNode(bytes.NewReader(stdout), "data")
		err = findErr
		if !found {
			err = errors.Join(err, errors.New("the node is not found"))
		}
		g.Output = node
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}
