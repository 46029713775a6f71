package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/broker/protocol"
)

// rich makes a tree with everything that a restore must bring back.
func rich(t *testing.T) string {
	t.Helper()
	dir := tree(t, map[string]string{"a.json": "{}", "b.txt": "b", "sub/c.json": "[]", "sub/deep/d": "d", "we:ird *[x]\\y/f": "f", "empty": ""})
	steps := []error{
		os.Symlink("a.json", filepath.Join(dir, "link")),
		os.Link(filepath.Join(dir, "b.txt"), filepath.Join(dir, "hard")),
		os.Chmod(filepath.Join(dir, "a.json"), 0o640),
		os.Chmod(filepath.Join(dir, "sub"), 0o700|os.ModeSetgid),
		os.Chmod(dir, 0o750|os.ModeSticky),
		syscall.Setxattr(dir, "user.note", []byte("root"), 0),
	}
	if os.Geteuid() == 0 {
		steps = append(steps,
			os.Lchown(filepath.Join(dir, "sub", "c.json"), 1234, 5678),
			os.Lchown(filepath.Join(dir, "link"), 1234, 5678),
			os.Chown(dir, 4321, 8765),
			os.Chmod(dir, 0o750|os.ModeSticky),
		)
	}
	old := time.Date(2020, 1, 2, 3, 4, 5, 678, time.UTC)
	for _, name := range []string{"a.json", "sub/deep", "sub", "."} {
		steps = append(steps, os.Chtimes(filepath.Join(dir, name), old, old))
	}
	for _, err := range steps {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// restorer is a repository with the snapshot of a folder, and an init-container.
type restorer struct {
	repo
	agent *started
	s     *fakeStream
	dir   string
	id    string
	was   string
}

// newRestorer backs up a folder by hand and starts an init-container.
func newRestorer(t *testing.T, dir string) restorer {
	t.Helper()
	return newRestorerAs(t, dir, protocol.RoleInit)
}

// newRestorerAs starts another agent: one that does not end with its first result.
func newRestorerAs(t *testing.T, dir string, role protocol.Role) restorer {
	t.Helper()
	r := newRepo(t)
	b := newBroker(t)
	r.run("backup", "-q", "--host", "host-0", dir)
	x := restorer{repo: r, dir: dir, id: r.snapshots()[0].ID, was: describe(t, dir)}
	x.agent = start(t, configure(t, b, role))
	x.s = b.stream()
	return x
}

func (x restorer) snapshot() protocol.RestoreSnapshot {
	return protocol.RestoreSnapshot{ID: x.id, Path: x.dir}
}

func TestARestoreBringsEverythingBack(t *testing.T) {
	x := newRestorer(t, rich(t))
	// restic leaves out the directory itself, and those above it that it makes.
	parent := filepath.Dir(x.dir)
	if err := os.Chmod(parent, 0o711); err != nil {
		t.Fatal(err)
	}
	x.run("backup", "-q", "--host", "host-0", x.dir)
	above := mode(t, parent)
	if err := os.RemoveAll(parent); err != nil {
		t.Fatal(err)
	}

	id := x.snapshots()[1].ID
	result := x.s.do(x.restore("restore-1", protocol.RestoreSnapshot{ID: id, Path: x.dir}))

	mustSucceed(t, result)
	if diff := cmp.Diff(x.was, describe(t, x.dir)); diff != "" {
		t.Errorf("what came back differs (-was +is):\n%s", diff)
	}
	note := make([]byte, 10)
	if n, err := syscall.Getxattr(x.dir, "user.note", note); err != nil || string(note[:n]) != "root" {
		t.Errorf("the attribute of the directory itself is %q, %v", note[:n], err)
	}
	if got := mode(t, parent); got != above {
		t.Errorf("the directory above, which had to be made, is %v, want %v", got, above)
	}
	if result.Restored.Files == 0 || result.Restored.Bytes == 0 {
		t.Errorf("restored = %s", asJSON(result.Restored))
	}
	if err := x.agent.ended(); err != nil {
		t.Errorf("the init-container ends with %v", err)
	}
}

func mode(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().String()
}

func TestARestoreKeepsOrDeletesWhatTheSnapshotDoesNotHave(t *testing.T) {
	for name, c := range map[string]struct {
		remove bool
		want   bool
	}{"keep": {false, true}, "delete": {true, false}} {
		t.Run(name, func(t *testing.T) {
			x := newRestorer(t, tree(t, map[string]string{"a": "1", "sub/b": "2"}))
			later := filepath.Join(x.dir, "sub", "later")
			write(t, later, "new")
			write(t, filepath.Join(x.dir, "a"), "changed")
			s := x.snapshot()
			s.Delete = c.remove
			mustSucceed(t, x.s.do(x.restore("restore-1", s)))
			if _, err := os.Stat(later); (err == nil) != c.want {
				t.Errorf("the later file: %v, want it to exist: %v", err, c.want)
			}
			if text, _ := os.ReadFile(filepath.Join(x.dir, "a")); string(text) != "1" {
				t.Errorf("the changed file holds %q", text)
			}
		})
	}
}

func TestPatternsOfARestoreAreAbsolute(t *testing.T) {
	x := newRestorerAs(t, tree(t, map[string]string{"a.json": "1", "b.txt": "2", "sub/c.json": "3", "sub/deep/d": "4"}), protocol.RoleSidecar)
	for name, c := range map[string]struct {
		include, exclude, args []string // DIR stands for the folder
		want                   []string
	}{
		"include":                {include: []string{"DIR/*.json"}, want: []string{"a.json"}},
		"include below":          {include: []string{"DIR/sub/**"}, want: []string{"sub/c.json", "sub/deep/d"}},
		"include a folder":       {include: []string{"DIR/sub"}, want: []string{"sub/c.json", "sub/deep/d"}},
		"include anywhere":       {include: []string{"*.json"}, want: []string{"a.json", "sub/c.json"}},
		"include two":            {include: []string{"DIR/a.json", "deep/d"}, want: []string{"a.json", "sub/deep/d"}},
		"include all":            {include: []string{"DIR"}, want: []string{"a.json", "b.txt", "sub/c.json", "sub/deep/d"}},
		"exclude":                {exclude: []string{"DIR/*.json"}, want: []string{"b.txt", "sub/c.json", "sub/deep/d"}},
		"exclude anywhere":       {exclude: []string{"*.json"}, want: []string{"b.txt", "sub/deep/d"}},
		"exclude across":         {exclude: []string{"data/sub/deep"}, want: []string{"a.json", "b.txt", "sub/c.json"}},
		"exclude by an argument": {args: []string{"--iexclude", "DIR/A.JSON"}, want: []string{"b.txt", "sub/c.json", "sub/deep/d"}},
		"include by an argument": {args: []string{"--include=DIR/a.json"}, want: []string{"a.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(x.dir); err != nil {
				t.Fatal(err)
			}
			at := func(patterns []string) (absolute []string) {
				for _, p := range patterns {
					absolute = append(absolute, strings.ReplaceAll(p, "DIR", x.dir))
				}
				return absolute
			}
			s := x.snapshot()
			s.Include, s.Exclude = at(c.include), at(c.exclude)
			task := x.restore("restore of "+name, s)
			task.Restore.Args = at(c.args)
			mustSucceed(t, x.s.do(task))
			if diff := cmp.Diff(c.want, files(t, x.dir)); diff != "" {
				t.Errorf("files differ:\n%s", diff)
			}
		})
	}
}

func TestARestoreThatCannotWorkFailsBeforeItWrites(t *testing.T) {
	x := newRestorerAs(t, tree(t, map[string]string{"a": "1", "dir/b": "2"}), protocol.RoleSidecar)
	write(t, filepath.Join(x.dir, "a"), "precious")
	was := describe(t, x.dir)
	good := x.snapshot()
	good.Delete = true
	link := filepath.Join(x.dir, "dir")
	with := func(change func(s *protocol.RestoreSnapshot)) protocol.RestoreSnapshot {
		s := x.snapshot()
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		bad    protocol.RestoreSnapshot
		reason protocol.Reason
	}{
		"an absent snapshot":     {with(func(s *protocol.RestoreSnapshot) { s.ID = "12345678" }), protocol.ReasonNoSnapshot},
		"an absent path":         {with(func(s *protocol.RestoreSnapshot) { s.Path += "/absent" }), protocol.ReasonPathMissing},
		"a path below a file":    {with(func(s *protocol.RestoreSnapshot) { s.Path += "/a/b" }), protocol.ReasonPathMissing},
		"a relative path":        {with(func(s *protocol.RestoreSnapshot) { s.Path = "data" }), protocol.ReasonPathMissing},
		"an include elsewhere":   {with(func(s *protocol.RestoreSnapshot) { s.Include = []string{"/elsewhere/*"} }), protocol.ReasonPathMissing},
		"an exclude of all":      {with(func(s *protocol.RestoreSnapshot) { s.Exclude = []string{x.dir} }), protocol.ReasonPathMissing},
		"include and exclude":    {with(func(s *protocol.RestoreSnapshot) { s.Include, s.Exclude = []string{"x"}, []string{"y"} }), protocol.ReasonOther},
		"a malformed pattern":    {with(func(s *protocol.RestoreSnapshot) { s.Include = []string{"["} }), protocol.ReasonOther},
		"no snapshot that it is": {with(func(s *protocol.RestoreSnapshot) { s.ID = "--password-command=id" }), protocol.ReasonNoSnapshot},
	} {
		result := x.s.do(x.restore("restore of "+name, good, c.bad))
		if result.Error == "" || result.Reason != c.reason {
			t.Errorf("%s: result = %q (%s), want reason %s", name, result.Error, result.Reason, c.reason)
		}
		if diff := cmp.Diff(was, describe(t, x.dir)); diff != "" {
			t.Fatalf("%s: something was written:\n%s", name, diff)
		}
	}
	if err := os.RemoveAll(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", link); err != nil {
		t.Fatal(err)
	}
	mustFail(t, x.s.do(x.restore("through a link", protocol.RestoreSnapshot{ID: x.id, Path: link})), protocol.ReasonOther)
}

// restic calls it a success. The search for the snapshots asks before the application is taken down; that
// it still holds is seen before anything is written.
func TestPatternsThatLetNothingThroughFail(t *testing.T) {
	x := newRestorerAs(t, tree(t, map[string]string{"a": "1", "conf/b": "2"}), protocol.RoleSidecar)
	write(t, filepath.Join(x.dir, "a"), "precious")
	was := describe(t, x.dir)
	for name, c := range map[string]struct{ include, exclude, args []string }{
		"include":             {include: []string{"*.json"}},
		"include, any case":   {args: []string{"--iinclude=" + x.dir + "/konfig*"}},
		"exclude":             {exclude: []string{x.dir + "/*"}},
		"exclude, any case":   {args: []string{"--iexclude=" + x.dir + "/*"}},
		"exclude every file":  {exclude: []string{"a", "b"}},
		"include and overlap": {include: []string{x.dir + "/conf/c"}, args: []string{"--overwrite=never"}},
	} {
		s := x.snapshot()
		s.Include, s.Exclude, s.Delete = c.include, c.exclude, true
		task := x.restore("restore with "+name, s)
		task.Restore.Args = c.args
		if result := x.s.do(task); result.Reason != protocol.ReasonPathMissing {
			t.Errorf("%s: result = %q (%s)", name, result.Error, result.Reason)
		}
		if diff := cmp.Diff(was, describe(t, x.dir)); diff != "" {
			t.Fatalf("%s: something was written:\n%s", name, diff)
		}
	}
}

func TestAnIncludeThatMatchesNothingFails(t *testing.T) {
	x := newRestorer(t, tree(t, map[string]string{"a": "1"}))
	s := x.snapshot()
	s.Include = []string{"*.json"}
	mustFail(t, x.s.do(x.restore("restore-1", s)), protocol.ReasonPathMissing)
	if err := x.agent.ended(); err == nil || !strings.Contains(x.agent.log.String(), "match nothing") {
		t.Errorf("the init-container ends with %v, want the reason", err)
	}
}

func TestASingleFileIsRestored(t *testing.T) {
	x := newRestorer(t, rich(t))
	name := filepath.Join(x.dir, "we:ird *[x]\\y", "f")
	other := filepath.Join(x.dir, "a.json")
	if err := os.RemoveAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	write(t, other, "changed since")
	mustSucceed(t, x.s.do(x.restore("restore-1", protocol.RestoreSnapshot{ID: x.id, Path: name})))
	if text, _ := os.ReadFile(name); string(text) != "f" {
		t.Errorf("the file holds %q", text)
	}
	if text, _ := os.ReadFile(other); string(text) != "changed since" {
		t.Errorf("another file was written: %q", text)
	}
}

func TestARestoreRunsAgain(t *testing.T) {
	x := newRestorer(t, rich(t))
	mustSucceed(t, x.s.do(x.restore("restore-1", x.snapshot(), x.snapshot())))
	if diff := cmp.Diff(x.was, describe(t, x.dir)); diff != "" {
		t.Errorf("a restore over what is there differs:\n%s", diff)
	}
}

// What is intact in the volume restic skips, and does not count among what there is to restore: that is not
// a snapshot without it.
func TestWhatIsThereAlreadyIsRestored(t *testing.T) {
	x := newRestorerAs(t, rich(t), protocol.RoleSidecar)
	if err := syscall.Mkfifo(filepath.Join(x.dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(x.dir, "bare"), 0o700); err != nil {
		t.Fatal(err)
	}
	settle := func() { // links and pipes restic makes anew, which shows in the time of their folder
		if err := os.Chtimes(x.dir, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	settle()
	x.run("backup", "-q", "--host", "host-0", x.dir)
	x.id, x.was = x.snapshots()[1].ID, describe(t, x.dir)
	for name, c := range map[string]struct {
		path                   string // below the folder
		include, exclude, args []string
		remove                 bool
	}{
		"a file":                              {path: "a.json"},
		"an empty file":                       {path: "empty"},
		"a hard link":                         {path: "hard"},
		"a symlink":                           {path: "link"},
		"a pipe":                              {path: "pipe"},
		"a folder":                            {path: "sub"},
		"a folder without files":              {path: "bare"},
		"a file in a folder":                  {path: "sub/deep/d"},
		"a file by pattern":                   {include: []string{"a.json"}},
		"a file of a folder, by pattern":      {path: "sub", include: []string{"c.json"}},
		"a file by pattern, deleting others":  {include: []string{"a.json"}, remove: true},
		"all, deleting others":                {remove: true},
		"what exclude patterns leave":         {path: "sub", exclude: []string{"deep"}},
		"what exclude patterns leave of many": {exclude: []string{"*.txt", "sub", "bare", "link", "pipe", "we*"}},
		"a file that is never overwritten":    {path: "a.json", args: []string{"--overwrite=never"}},
		"a file unless it is newer":           {path: "a.json", args: []string{"--overwrite=if-newer"}},
		"a file unless it is unchanged":       {include: []string{"a.json"}, args: []string{"--overwrite=if-changed"}},
	} {
		s := x.snapshot()
		s.Path, s.Include, s.Exclude, s.Delete = filepath.Join(x.dir, c.path), c.include, c.exclude, c.remove
		task := x.restore("restore of "+name, s)
		task.Restore.Args = c.args
		if result := x.s.do(task); result.Error != "" {
			t.Errorf("%s: %s (%s)", name, result.Error, result.Reason)
		}
		settle()
		if diff := cmp.Diff(x.was, describe(t, x.dir)); diff != "" {
			t.Fatalf("%s: the folder was changed:\n%s", name, diff)
		}
	}
}

// An older snapshot of a directory must not leave files in what a newer one of a path in it holds.
func TestWhatIsRestoredElsewhereIsLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		remove    bool
		exclude   []string
		elsewhere []string // below the folder
		want      []string
	}{
		"left out":                     {false, nil, []string{"s*b"}, []string{"a", "later", "s*b/later", "sub/b"}},
		"left out, and others deleted": {true, nil, []string{"s*b"}, []string{"a", "s*b/later", "sub/b"}},
		"beside a pattern":             {false, []string{"a"}, []string{"s*b"}, []string{"later", "s*b/later", "sub/b"}},
		"all of it":                    {false, []string{"a"}, []string{"s*b", "sub"}, []string{"later", "s*b/later"}},
		"nothing":                      {false, nil, nil, []string{"a", "later", "s*b/b", "s*b/later", "sub/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newRestorer(t, tree(t, map[string]string{"a": "1", "s*b/b": "2", "sub/b": "3"}))
			if err := os.RemoveAll(x.dir); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(x.dir, "later"), "new")
			write(t, filepath.Join(x.dir, "s*b", "later"), "new")
			s := x.snapshot()
			s.Delete, s.Exclude = c.remove, c.exclude
			for _, name := range c.elsewhere {
				s.Elsewhere = append(s.Elsewhere, filepath.Join(x.dir, name))
			}
			mustSucceed(t, x.s.do(x.restore("restore-1", s)))
			if diff := cmp.Diff(c.want, files(t, x.dir)); diff != "" {
				t.Errorf("files differ:\n%s", diff)
			}
		})
	}
}
