package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// worker starts a repository worker and returns what asks it.
func worker(t *testing.T) (ask func(repo, protocol.Maintain) protocol.Result, r repo) {
	t.Helper()
	r = newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleWorker)
	c.Timings.RetryLock = 100 * time.Millisecond
	c.Timings.Metadata = 10 * time.Second
	start(t, c)
	s := b.stream()
	count := 0
	return func(of repo, m protocol.Maintain) protocol.Result {
		t.Helper()
		count++
		return s.do(of.maintain(string(m.Operation)+"-"+string(rune('a'+count)), m))
	}, r
}

func TestProbeNeverTakesAFailureForAbsence(t *testing.T) {
	ask, r := worker(t)
	probe := protocol.Maintain{Operation: protocol.OpProbe}

	found := ask(r, probe)
	mustSucceed(t, found)
	if m := found.Maintained; m.Exists == nil || !*m.Exists || m.RepositoryID == "" || m.FormatVersion != 2 {
		t.Errorf("probe of a repository = %s", asJSON(m))
	}

	absent := r
	absent.URL = filepath.Join(t.TempDir(), "absent")
	found = ask(absent, probe)
	mustSucceed(t, found)
	if m := found.Maintained; m.Exists == nil || *m.Exists {
		t.Errorf("probe of an absent repository = %s", asJSON(m))
	}

	for name, c := range map[string]struct {
		change func(*repo)
		reason protocol.Reason
	}{
		"a wrong password": {func(r *repo) { r.Env = map[string]string{"RESTIC_PASSWORD": "mistaken"} }, protocol.ReasonWrongPassword},
		"a closed port": {func(r *repo) {
			r.URL = "s3:http://" + closedPort(t) + "/bucket/p"
			r.Env = map[string]string{"RESTIC_PASSWORD": password, "AWS_ACCESS_KEY_ID": "key-id", "AWS_SECRET_ACCESS_KEY": "secret-key"}
		}, protocol.ReasonUnreachable},
		"no key": {func(r *repo) { r.URL = "s3:http://" + closedPort(t) + "/bucket/p" }, protocol.ReasonAccessDenied},
	} {
		unclear := r
		c.change(&unclear)
		found := ask(unclear, probe)
		if found.Error == "" || found.Reason != c.reason || found.Maintained.Exists != nil {
			t.Errorf("%s: result = %s, want reason %s and no answer", name, asJSON(found), c.reason)
		}
	}
}

func TestInitMakesARepositoryOnce(t *testing.T) {
	ask, r := worker(t)
	fresh := r
	fresh.path = filepath.Join(t.TempDir(), "fresh")
	fresh.URL = fresh.path
	init := protocol.Maintain{Operation: protocol.OpInit}
	first, second := ask(fresh, init), ask(fresh, init)
	mustSucceed(t, first)
	mustSucceed(t, second)
	if m := first.Maintained; !*m.Exists || m.FormatVersion != 2 || m.RepositoryID == "" || m.RepositoryID != second.Maintained.RepositoryID {
		t.Errorf("first = %s, second = %s", asJSON(m), asJSON(second.Maintained))
	}

	denied := r
	denied.URL = "/proc/repository" // nobody can write there
	if result := ask(denied, init); result.Error == "" || result.Maintained.Exists != nil {
		t.Errorf("an init that failed is %s", asJSON(result))
	}
}

// snapshot backs up by hand and returns the ID.
func (r repo) snapshot(host string, paths ...string) string {
	r.t.Helper()
	r.run(append([]string{"backup", "-q", "--force", "--host", host}, paths...)...)
	list := r.snapshots()
	return list[len(list)-1].ID
}

func (r repo) ids() []string {
	var ids []string
	for _, s := range r.snapshots() {
		ids = append(ids, s.ID)
	}
	return ids
}

func forget(paths ...string) protocol.Maintain {
	f := &protocol.Forget{Policy: restic.ForgetPolicy{Last: 1}}
	for _, path := range paths {
		f.Groups = append(f.Groups, protocol.Group{Host: "host-0", Path: path})
	}
	return protocol.Maintain{Operation: protocol.OpForget, Forget: f}
}

func TestForgetTouchesItsGroupsAlone(t *testing.T) {
	ask, r := worker(t)
	data, other := tree(t, map[string]string{"a": "1"}), tree(t, map[string]string{"b": "2"})
	old := r.snapshot("host-0", data)
	kept := []string{r.snapshot("host-1", data), r.snapshot("host-1", data), r.snapshot("host-0", other), r.snapshot("host-0", other)}
	kept = append(kept, r.snapshot("host-0", data, other), r.snapshot("host-0", data, other), r.snapshot("host-0", data))

	dry := forget(data)
	dry.Forget.DryRun = true
	result := ask(r, dry)
	mustSucceed(t, result)
	if m := result.Maintained; m.Removed != 0 || m.WouldRemove == nil || *m.WouldRemove != 1 || len(r.ids()) != 8 {
		t.Errorf("a dry run removed %d, result = %s", 8-len(r.ids()), asJSON(m))
	}

	result = ask(r, forget(data))
	mustSucceed(t, result)
	if got := r.ids(); !slices.Equal(got, kept) || slices.Contains(got, old) {
		t.Errorf("left are %v, want %v", got, kept)
	}
	if m := result.Maintained; m.Removed != 1 || m.WouldRemove != nil || m.SnapshotCount != 7 || m.Pruned || m.TotalSize == 0 || len(m.Protected) != 0 || m.Snapshots[0].ID != kept[6] {
		t.Errorf("result = %s", asJSON(m))
	}
}

// An emptied volume backs up with success, and keep-last would drop the snapshots that hold data.
func TestForgetKeepsTheNewestSnapshotWithData(t *testing.T) {
	ask, r := worker(t)
	data := tree(t, map[string]string{"a": "1"})
	older, good := r.snapshot("host-0", data), r.snapshot("host-0", data)
	if err := os.Remove(filepath.Join(data, "a")); err != nil {
		t.Fatal(err)
	}
	r.snapshot("host-0", data)
	empty := r.snapshot("host-0", data)

	result := ask(r, forget(data))
	mustSucceed(t, result)
	if got, want := r.ids(), []string{good, empty}; !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v (and not %s)", got, want, older)
	}
	if m := result.Maintained; m.Removed != 2 || !slices.Equal(m.Protected, []string{good}) {
		t.Errorf("result = %s", asJSON(m))
	}
}

func TestForgetKeepsWhatIsProtectedAndPrunes(t *testing.T) {
	ask, r := worker(t)
	data := tree(t, map[string]string{"a": strings.Repeat("x", 1000)})
	first := r.snapshot("host-0", data)
	r.snapshot("host-0", data)
	last := r.snapshot("host-0", data)
	m := forget(data)
	m.Forget.Protect, m.Forget.Prune = []string{first[:8]}, true
	r.Options = []string{"local.connections=1"} // as a user may choose; restic prune needs two

	result := ask(r, m)
	mustSucceed(t, result)
	if got := r.ids(); !slices.Equal(got, []string{first, last}) || !result.Maintained.Pruned {
		t.Errorf("left are %v, result = %s", got, asJSON(result.Maintained))
	}
}

func TestForgetWithoutRulesOrHostRemovesNothing(t *testing.T) {
	ask, r := worker(t)
	data := tree(t, map[string]string{"a": "1"})
	r.snapshot("host-0", data)
	r.snapshot("host-0", data)
	m := forget(data)
	m.Forget.Policy = restic.ForgetPolicy{}
	mustSucceed(t, ask(r, m))
	m = forget(data)
	m.Forget.Groups[0].Host = ""
	mustFail(t, ask(r, m), protocol.ReasonOther)
	mustSucceed(t, ask(r, forget("/never/backed/up")))
	if got := r.ids(); len(got) != 2 {
		t.Errorf("left are %v, want both", got)
	}
}

func TestForgetOfALockedRepositoryFails(t *testing.T) {
	ask, r := worker(t)
	data := tree(t, map[string]string{"a": "1"})
	r.snapshot("host-0", data)
	r.snapshot("host-0", data)
	r.hold()
	mustFail(t, ask(r, forget(data)), protocol.ReasonLocked)
	if got := r.locks(); len(got) != 1 {
		t.Errorf("locks = %v, want the holder's", got)
	}
}

func TestUnlockRemovesLocksOfTheDeadAlone(t *testing.T) {
	ask, r := worker(t)
	r.hold()
	us, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	span := func(hostname string, from, before time.Duration) protocol.DeadLocks {
		return protocol.DeadLocks{Hostname: hostname, From: now.Add(from), Before: now.Add(before)}
	}
	unlock := protocol.Maintain{Operation: protocol.OpUnlock}
	for name, dead := range map[string][]protocol.DeadLocks{
		"of nobody that is known":      nil,
		"of another host":              {span("another-pod", -time.Hour, time.Hour)},
		"from after its pod had ended": {span(us, -2*time.Hour, -time.Hour)},
		"from before its pod had keys": {span(us, time.Hour, 2*time.Hour), span(us, -2*time.Hour, -time.Hour)},
	} {
		unlock.Dead = dead
		result := ask(r, unlock)
		mustSucceed(t, result)
		if m := result.Maintained; m.Unlocked || len(m.Locks) != 1 || m.Locks[0].Hostname != us || m.Locks[0].ID == "" || len(r.locks()) != 1 {
			t.Errorf("a lock %s: %s", name, asJSON(m))
		}
	}

	unlock.Dead = []protocol.DeadLocks{span("another-pod", -time.Hour, 0), span(us, -time.Hour, time.Hour)}
	write(t, filepath.Join(r.path, "locks", strings.Repeat("1", 64)), "unreadable")
	result := ask(r, unlock)
	mustSucceed(t, result)
	if m := result.Maintained; m.Unlocked || len(m.Locks) != 2 || len(r.locks()) != 2 {
		t.Errorf("beside an unreadable lock: %s", asJSON(m))
	}
	if err := os.Remove(filepath.Join(r.path, "locks", strings.Repeat("1", 64))); err != nil {
		t.Fatal(err)
	}

	result = ask(r, unlock)
	mustSucceed(t, result)
	if m := result.Maintained; !m.Unlocked || len(m.Locks) != 1 || len(r.locks()) != 0 {
		t.Errorf("the lock of a dead pod: %s", asJSON(m))
	}
	result = ask(r, unlock)
	mustSucceed(t, result)
	if m := result.Maintained; m.Unlocked || len(m.Locks) != 0 {
		t.Errorf("without locks: %s", asJSON(m))
	}
}

func TestCheckTellsDamage(t *testing.T) {
	ask, r := worker(t)
	r.snapshot("host-0", tree(t, map[string]string{"a": "1"}))
	check := protocol.Maintain{Operation: protocol.OpCheck}
	result := ask(r, check)
	mustSucceed(t, result)
	if m := result.Maintained; m.Healthy == nil || !*m.Healthy {
		t.Errorf("a sound repository: %s", asJSON(m))
	}

	packs, err := filepath.Glob(filepath.Join(r.path, "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("no packs: %v", err)
	}
	for _, pack := range packs {
		if err := os.Remove(pack); err != nil {
			t.Fatal(err)
		}
	}
	result = ask(r, check)
	mustSucceed(t, result)
	if m := result.Maintained; m.Healthy == nil || *m.Healthy || len(m.Faults) == 0 || !strings.Contains(m.Faults[0], "does not exist") {
		t.Errorf("a damaged repository: %s", asJSON(m))
	}
}

func TestFindSelectsByQueries(t *testing.T) {
	ask, r := worker(t)
	data, other := tree(t, map[string]string{"a": "1"}), tree(t, map[string]string{"b": "2"})
	a0, a1, b0 := r.snapshot("a", data), r.snapshot("a", data), r.snapshot("b", other)
	r.run("backup", "-q", "--host", "b", "--tag", "stash-session=7", data)
	tagged := r.ids()[3]
	for name, c := range map[string]struct {
		queries []protocol.Query
		want    []string // the newest first
	}{
		"all":           {[]protocol.Query{{}}, []string{tagged, b0, a1, a0}},
		"a host":        {[]protocol.Query{{Host: "a"}}, []string{a1, a0}},
		"the latest":    {[]protocol.Query{{Latest: true}}, []string{tagged, b0, a1}},
		"a path":        {[]protocol.Query{{Path: other}}, []string{b0}},
		"a tag":         {[]protocol.Query{{Tag: "stash-session=7"}}, []string{tagged}},
		"an ID":         {[]protocol.Query{{IDs: []string{a0[:8]}}}, []string{a0}},
		"two queries":   {[]protocol.Query{{Host: "a", Latest: true}, {Path: other}}, []string{b0, a1}},
		"no match":      {[]protocol.Query{{Host: "c"}}, nil},
		"no query":      {nil, nil},
		"an empty ID":   {[]protocol.Query{{IDs: []string{""}}}, nil},
		"host and path": {[]protocol.Query{{Host: "b", Path: data}}, []string{tagged}},
	} {
		result := ask(r, protocol.Maintain{Operation: protocol.OpFind, Queries: c.queries})
		mustSucceed(t, result)
		var got []string
		for _, s := range result.Maintained.Snapshots {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, c.want) || result.Maintained.SnapshotCount != 4 {
			t.Errorf("%s: found %v, want %v", name, got, c.want)
		}
	}
}

func TestListTellsWhatThereIs(t *testing.T) {
	ask, r := worker(t)
	first, second := r.snapshot("a", tree(t, map[string]string{"a": "1"})), r.snapshot("a", tree(t, map[string]string{"a": "2"}))
	result := ask(r, protocol.Maintain{Operation: protocol.OpList})
	mustSucceed(t, result)
	if m := result.Maintained; m.SnapshotCount != 2 || m.TotalSize == 0 || m.Snapshots[0].ID != second || m.Snapshots[1].ID != first || m.Pruned {
		t.Errorf("result = %s", asJSON(m))
	}
	mustFail(t, ask(r, protocol.Maintain{Operation: "Dance"}), protocol.ReasonOther)
}
