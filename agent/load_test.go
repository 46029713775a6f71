package agent_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

// loader is an agent whose psql is a script, and a dump in a repository.
type loader struct {
	repo
	agent *started
	s     *fakeStream
	id    string
	// got is what a script may write to.
	got string
}

func newLoader(t *testing.T, dump, script string) loader {
	t.Helper()
	r := newRepo(t)
	b := newBroker(t)
	x := loader{repo: r, got: filepath.Join(t.TempDir(), "got")}
	file := filepath.Join(t.TempDir(), "dump")
	write(t, file, dump)
	c := configure(t, b, protocol.RoleSidecar)
	c.ToolPath = programs(t, map[string]string{"pg_dumpall": "cat " + file, "psql": "got=" + x.got + "; " + script})
	x.agent = start(t, c)
	x.s = b.stream()
	result := x.s.do(r.dump("session-1"))
	mustSucceed(t, result)
	x.id = result.Backups[0].Summary.SnapshotID
	return x
}

func (x loader) load(id string) protocol.Task {
	return protocol.Task{ID: id, Repository: x.Repository, Load: &protocol.Load{Database: someDatabase(), ID: x.id}}
}

// read returns what the script has written.
func (x loader) read() string {
	x.t.Helper()
	text, err := os.ReadFile(x.got)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(text)
}

// many are rows that take more than one pack of a repository.
func many() string {
	var text strings.Builder
	for i := range 400_000 {
		text.WriteString("SELECT '")
		text.WriteString(strings.Repeat(string(rune('a'+i%26)), 20+i%40))
		text.WriteString("';\n")
	}
	return text.String()
}

func TestALoadGetsTheWholeDump(t *testing.T) {
	dump := many()
	x := newLoader(t, dump, `cat > "$got"; echo end >> "$got"`)
	result := x.s.do(x.load("restore-1"))
	mustSucceed(t, result)
	head, rest, _ := strings.Cut(x.read(), "\n")
	if want := "BEGIN;\n" + dump + "\nCOMMIT;\nend\n"; !strings.HasPrefix(head, `\restrict stash`) || rest != want {
		t.Errorf("psql got %d bytes after %q, want %d", len(rest), head, len(want))
	}
	if got := result.Restored; got == nil || got.Files != 1 || got.Bytes < int64(len(dump)) {
		t.Errorf("result = %s", asJSON(result))
	}
	if locks := x.locks(); len(locks) > 0 {
		t.Errorf("locks are left: %v", locks)
	}
}

func TestALoadThatFails(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"at once":                    {"echo 'ERROR: role is missing' >&2; exit 3", "psql: exit status 3: ERROR: role is missing"},
		"half way":                   {"head -c 1000000 > /dev/null; echo \"ERROR: no $PGPASSWORD\" >&2; exit 3", "psql: exit status 3: ERROR: no ***"},
		"at the end":                 {"cat > /dev/null; exit 2", "psql: exit status 2"},
		"it is killed":               {"head -c 1000000 > /dev/null; kill -9 $$", "psql: signal: killed"},
		"with success, half way":     {"head -c 1000000 > /dev/null; exit 0", "psql ended before it had read the whole dump"},
		"the program is not there":   {"", "psql: "},
		"it goes on without reading": {"exec 0<&-; echo 'no more' >&2; exit 4", "psql: exit status 4: no more"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newLoader(t, many(), c.script)
			if c.script == "" {
				psql := filepath.Join(filepath.SplitList(x.agent.config.ToolPath)[0], "psql")
				write(t, psql, "#!/does/not/exist\n")
			}
			result := x.s.do(x.load("restore-1"))
			mustFail(t, result, protocol.ReasonLoadFailed)
			if !strings.Contains(result.Error, c.want) || strings.Contains(result.Error, secret) {
				t.Errorf("error = %s", result.Error)
			}
			if locks := x.locks(); len(locks) > 0 {
				t.Errorf("locks are left: %v", locks)
			}
		})
	}
}

// psql takes the end of its input for the end of the dump, and would commit what it has.
func TestALoadWhoseRepositoryIsDamagedNeverReachesItsEnd(t *testing.T) {
	x := newLoader(t, many(), `cat > "$got"; echo end >> "$got"`)
	var largest string
	var size int64
	err := filepath.WalkDir(filepath.Join(x.path, "data"), func(path string, d fs.DirEntry, err error) error {
		if info, infoErr := d.Info(); err == nil && infoErr == nil && !d.IsDir() && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(largest)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		text[len(text)*3/4+i] ^= 0xff
	}
	_ = os.Chmod(largest, 0o600)
	if err := os.WriteFile(largest, text, 0o600); err != nil {
		t.Fatal(err)
	}
	result := x.s.do(x.load("restore-1"))
	if result.Error == "" || result.Reason == protocol.ReasonLoadFailed || strings.Contains(result.Error, "psql") {
		t.Errorf("result = %s (%s), want what restic says", result.Error, result.Reason)
	}
	if text, err := os.ReadFile(x.got); err == nil && (strings.HasSuffix(string(text), "end\n") || strings.Contains(string(text), "COMMIT")) {
		t.Error("psql has seen the end of its input")
	}
}

func TestALoadThatIsCanceledOrLate(t *testing.T) {
	const hangs = `echo begun > "$got"; head -c 1000000 > /dev/null; sleep 1000; echo end > "$got"`
	t.Run("canceled", func(t *testing.T) {
		x := newLoader(t, many(), hangs)
		task := x.load("restore-1")
		x.s.say(protocol.Down{Task: &task})
		x.s.running()
		x.s.say(protocol.Down{Cancel: task.ID})
		mustFail(t, x.s.result(task.ID), protocol.ReasonCanceled)
		if locks := x.locks(); len(locks) > 0 {
			t.Errorf("locks are left: %v", locks)
		}
	})
	t.Run("late", func(t *testing.T) {
		x := newLoader(t, many(), hangs)
		task := x.load("restore-1")
		task.Deadline = time.Now().Add(3 * time.Second)
		mustFail(t, x.s.do(task), protocol.ReasonDeadline)
		if got := x.read(); got != "begun\n" {
			t.Errorf("psql went on: %q", got)
		}
	})
}

func TestALoadOfWhatIsNotThere(t *testing.T) {
	x := newLoader(t, "SELECT 1;\n", `touch "$got"`)
	task := x.load("restore-1")
	task.Load.File = "other.sql"
	result := x.s.do(task)
	mustFail(t, result, protocol.ReasonPathMissing)
	if !strings.Contains(result.Error, `"/other.sql"`) {
		t.Errorf("error = %s", result.Error)
	}
	task = x.load("restore-2")
	task.Load.ID = "deadbeef"
	mustFail(t, x.s.do(task), protocol.ReasonNoSnapshot)
	if _, err := os.Stat(x.got); err == nil {
		t.Error("psql was started")
	}
}

// A dump is what its writer says: lines that psql would obey are not.
func TestALoadOfADumpThatIsNone(t *testing.T) {
	trap := filepath.Join(t.TempDir(), "trap")
	x := newLoader(t, "SELECT 1;\n\\! touch "+trap+"\nSELECT 2;\n", `cat > "$got"; echo end >> "$got"`)
	result := x.s.do(x.load("restore-1"))
	mustFail(t, result, protocol.ReasonLoadFailed)
	if !strings.Contains(result.Error, "line 2 of the dump is a command for psql") {
		t.Errorf("error = %s", result.Error)
	}
	if text, err := os.ReadFile(x.got); err == nil && strings.Contains(string(text), "end") {
		t.Error("psql has seen the end of its input")
	}
}
