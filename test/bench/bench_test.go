package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.95, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 2, 3}, 0.5, 2.5},
		{[]float64{0, 10, 20, 30, 40}, 1, 40},
		{[]float64{0, 100}, 0.95, 95},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %v is %v, not %v", c.q, c.values, got, c.want)
		}
	}
}

func TestParseBenchstat(t *testing.T) {
	got := parseBenchstat(`goos: linux
cpu: some, with commas, in it
,file,
,sec/op,CI
PodHandler-2,0.0002,∞
DecodedPod-2,0.0009,3%
geomean,0.0004,

,file,
,B/op,CI
PodHandler-2,33251,∞
`)
	want := map[string]map[string]float64{
		"PodHandler": {"sec/op": 0.0002, "B/op": 33251},
		"DecodedPod": {"sec/op": 0.0009},
		"geomean":    {"sec/op": 0.0004},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseStat(t *testing.T) {
	boot := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	p, err := parseStat("42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 8 0 1234 99 7 1", boot)
	if err != nil || p.name != "a) b (c" || p.cpu != 2*time.Second || !p.started.Equal(boot.Add(12340*time.Millisecond)) {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := parseStat("42 (a) S 1", boot); err == nil {
		t.Error("half a line is accepted")
	}
}

func TestTheProcessesOfThisMachineAreRead(t *testing.T) {
	p, err := readProcess(os.Getpid(), bootTime())
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(p.started); age < -time.Second || age > 10*time.Minute || p.name == "" || len(p.command) == 0 {
		t.Errorf("%+v is %s old", p, age)
	}
	if n, err := statusBytes(os.Getpid(), "VmRSS"); err != nil || n < 1<<20 {
		t.Errorf("resident memory is %d, %v", n, err)
	}
}

func TestReadAgentLog(t *testing.T) {
	const earlier = `2026-11-21T07:40:00.1Z stderr F time=2026-11-21T07:40:00.100Z level=INFO msg="task starts" task=a
`
	const later = `2026-11-21T07:50:00.5Z stderr F time=2026-11-21T07:50:00.500Z level=INFO msg="connected to the broker"
2026-11-21T07:50:01.5Z stderr F time=2026-11-21T07:50:01.250Z level=INFO msg="task starts" task=b
2026-11-21T07:50:03.5Z stderr F time=2026-11-21T07:50:03.500Z level=INFO msg="task is done" task=b duration=2.25s
`
	path := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(path, []byte(earlier+later), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, task, err := readAgentLog(path, int64(len(earlier)))
	if err != nil || task != 2250*time.Millisecond || !taken.Equal(time.Date(2026, 11, 21, 7, 50, 1, 250e6, time.UTC)) {
		t.Errorf("%s, %s, %v", taken, task, err)
	}
	if _, _, err := readAgentLog(path, int64(len(earlier+later))); err == nil {
		t.Error("a log without a task is accepted")
	}
}

func TestDataSetsAreWhatTheirTitlesSay(t *testing.T) {
	for _, set := range []dataSet{largeFiles(1), smallFiles(250)} {
		dir := t.TempDir()
		if err := set.plant(dir); err != nil {
			t.Fatal(err)
		}
		files, before := contents(t, dir)
		if files != set.files {
			t.Errorf("%s: there are %d files", set.title, files)
		}
		if err := set.alter(dir, 2); err != nil {
			t.Fatal(err)
		}
		files, after := contents(t, dir)
		changed := 0
		for path, text := range before {
			if after[path] != text {
				changed++
			}
			if len(after[path]) != len(text) {
				t.Errorf("%s: the size of %s changed", set.title, path)
			}
		}
		if changed != set.changedFiles || files != set.files {
			t.Errorf("%s: %d of %d files changed", set.title, changed, files)
		}
	}
}

func contents(t *testing.T, dir string) (int, map[string]string) {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(all), all
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-only", "start, idle", "-benchstat", "/some/where"}, io.Discard)
	if err != nil || !o.wants("start") || !o.wants("large", "idle") || o.wants("handler") {
		t.Errorf("%+v, %v", o, err)
	}
	if o.command != "make bench BENCH='-only=start, idle'" {
		t.Error(o.command)
	}
}
