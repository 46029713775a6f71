package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAddressesOfClustersDoNotMeet(t *testing.T) {
	demo, test := Config{Name: "demo", Nodes: 3, Storage: true}.withDefaults(), Config{Name: "test", Nodes: 3, Storage: true}.withDefaults()
	for _, pair := range [][2]string{
		{demo.Server(), test.Server()},
		{demo.StorageIP(), test.StorageIP()},
		{demo.NodeIP(1), test.NodeIP(1)},
		{demo.podRange(1), test.podRange(1)},
		{demo.serviceRange(), test.serviceRange()},
		{demo.bridge(), test.bridge()},
		{demo.group("n1"), test.group("n1")},
		{demo.StateDir, test.StateDir},
	} {
		if pair[0] == pair[1] {
			t.Errorf("both clusters have %s", pair[0])
		}
	}
	if got := test.mac(13); got != "02:00:0a:62:00:0d" {
		t.Errorf("hardware address %s", got)
	}
	if got, want := test.Hosts(), []string{"cp", "s3", "n1", "n2", "n3"}; !slices.Equal(got, want) {
		t.Errorf("hosts %v, want %v", got, want)
	}
}

func TestEveryNameHasAddresses(t *testing.T) {
	for name, want := range map[string]int{"demo": 97, "test": 98, "fresh": defaultNet("fresh")} {
		c, err := New(Config{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if c.Net != want {
			t.Errorf("%s has 10.%d, want 10.%d", name, c.Net, want)
		}
	}
	// 90 to 98 are those of the tests.
	for _, name := range []string{"", "a", "fresh", "mine", "my-cluster-2"} {
		if net := defaultNet(name); net < 100 || net > 199 {
			t.Errorf("%q has 10.%d", name, net)
		}
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		faults []string
	}{
		"a control plane alone":          {Config{Name: "test"}, nil},
		"a full cluster":                 {Config{Name: "x-1", Net: 20, Nodes: 9, Storage: true}, nil},
		"a name of any kind":             {Config{Name: "mine"}, nil},
		"two faults are told at once":    {Config{Name: "Not OK", Net: 300, Nodes: 10}, []string{`"Not OK"`, "net 300", "10 nodes"}},
		"a relative folder":              {Config{Name: "test", StateDir: "here"}, []string{`"here"`}},
		"a folder too long for a socket": {Config{Name: "test", StateDir: "/" + strings.Repeat("x", 100)}, []string{"STASH_STATE"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.config)
			if (err == nil) != (len(c.faults) == 0) {
				t.Fatalf("error: %v", err)
			}
			for _, fault := range c.faults {
				if !strings.Contains(err.Error(), fault) {
					t.Errorf("%q does not say %q", err, fault)
				}
			}
		})
	}
}

func TestSavedClusterIsOpened(t *testing.T) {
	t.Setenv("STASH_STATE", t.TempDir())
	t.Setenv("STASH_CACHE", "/cache")
	c, err := New(Config{Name: "mine", Net: 20, Nodes: 2, APIServerArgs: []string{"--v=2"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	again, err := Open("mine")
	if err != nil {
		t.Fatal(err)
	}
	if again.Net != 20 || again.Nodes != 2 || !slices.Equal(again.APIServerArgs, c.APIServerArgs) || again.CacheDir != "/cache" {
		t.Errorf("opened %+v", again.Config)
	}
}

func TestHierarchies(t *testing.T) {
	for name, c := range map[string]struct {
		mountinfo string
		want      []string
	}{
		"version 2": {
			"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
			[]string{"/sys/fs/cgroup"},
		},
		"version 1 with a second name and a unified one": {
			"25 18 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
				"26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n" +
				"27 25 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
				"28 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" +
				"29 25 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			[]string{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"},
		},
		"mounted elsewhere": {"26 25 0:23 / /mnt/cpu rw - cgroup cgroup rw,cpu\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := hierarchies(strings.NewReader(c.mountinfo)); !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
}

func TestControllersAreEnabled(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n", "cgroup.subtree_control": "memory pids\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := enableControllers(dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if want := "+cpuset +cpu +io +memory +hugetlb +pids"; err != nil || string(got) != want {
		t.Errorf("wrote %q (%v), want %q", got, err, want)
	}
	if err := enableControllers(t.TempDir()); err == nil {
		t.Error("a folder that is no cgroup was accepted")
	}
}

func TestBuildsAskForNoMoreThanMayBeHad(t *testing.T) {
	args, err := buildLimits()
	if err != nil || len(args) != 4 || args[0] != "--ulimit" {
		t.Fatalf("%q (%v)", args, err)
	}
	out, err := exec.Command("bash", "-c", "ulimit -Hn; ulimit -Hu").Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range strings.Fields(string(out)) {
		most, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			most = 1 << 20 // unlimited
		}
		name := []string{"nofile", "nproc"}[i]
		if got, want := args[2*i+1], fmt.Sprintf("%s=%[2]d:%[2]d", name, min(most, 1<<20)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestPathIsCompleted(t *testing.T) {
	for path, want := range map[string]string{
		"/usr/bin:/bin":                                      "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
		"/usr/local/sbin:/usr/bin:/sbin":                     "/usr/local/sbin:/usr/bin:/sbin:/usr/sbin",
		"/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin:/opt": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin:/opt",
	} {
		t.Setenv("PATH", path)
		if err := completePath(); err != nil {
			t.Fatal(err)
		}
		if got := os.Getenv("PATH"); got != want {
			t.Errorf("%s became %s, want %s", path, got, want)
		}
	}
}

// TestOtherAptIsAwaited locks as apt does: such locks are of a process, so another one is needed.
func TestOtherAptIsAwaited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if file := os.Getenv("STASH_TEST_LOCK"); file != "" {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stdout.WriteString("locked\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test lets go
		return
	}
	var log bytes.Buffer
	c := NewCache(t.TempDir(), &log)
	if err := c.awaitApt(t.Context(), path); err != nil || log.Len() > 0 {
		t.Errorf("without a lock: %v, %q", err, log.String())
	}
	other := exec.Command(os.Args[0], "-test.run=^TestOtherAptIsAwaited$")
	other.Env = append(os.Environ(), "STASH_TEST_LOCK="+path)
	hold, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(said).ReadString('\n'); line != "locked\n" {
		t.Fatalf("%q (%v)", line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.awaitApt(ctx, path); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(log.String(), "another apt") {
		t.Errorf("locked: %v, %q", err, log.String())
	}
	if err := hold.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.awaitApt(t.Context(), path); err != nil {
		t.Errorf("unlocked: %v", err)
	}
	if err := other.Wait(); err != nil {
		t.Error(err)
	}
}

func TestIsDebian(t *testing.T) {
	for release, want := range map[string]bool{
		"NAME=\"Debian GNU/Linux\"\nID=debian\n":       true,
		"ID=ubuntu\nID_LIKE=debian\n":                  true,
		"ID=mint\nID_LIKE=\"ubuntu debian\"\n":         true,
		"ID=fedora\nHOME_URL=\"https://debian.org\"\n": false,
		"": false,
	} {
		if got := isDebian(release); got != want {
			t.Errorf("%q: %t", release, got)
		}
	}
}

func TestProgramsArePinned(t *testing.T) {
	for _, p := range programs() {
		version, err := p.version(".")
		if err != nil {
			t.Error(err)
		}
		if p.module != "" && !strings.HasPrefix(version, "v") {
			t.Errorf("%s has version %q", p.name, version)
		}
		if sum, err := p.digest("."); err != nil || len(sum) != 10 {
			t.Errorf("%s has digest %q (%v)", p.name, sum, err)
		}
	}
}

func TestDigestFollowsSources(t *testing.T) {
	dir := t.TempDir()
	p := program{name: "x", sources: []string{"."}}
	write := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sum, err := p.digest(dir)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	first := write("main.go", "package main")
	if write("main_test.go", "package main") != first {
		t.Error("a test changed the program")
	}
	if write("main.go", "package main // changed") == first {
		t.Error("a change did not")
	}
}

func TestLogTailIsShort(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.log")
	if err := os.WriteFile(file, []byte(strings.Repeat("early\n", 10_000)+strings.Repeat("x", 1000)+"\nlast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tail := logTail(file)
	if len(tail) > 1000 || !strings.HasSuffix(tail, "last") || !strings.Contains(tail, file) {
		t.Errorf("tail: %s", tail)
	}
}

func TestWrappedProgramUsesItsOwnLoader(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"usr/lib64/ld-linux-x86-64.so.2":     "#!/bin/sh\necho loader \"$@\"\n",
		"usr/lib/x86_64-linux-gnu/libc.so.6": "",
		"usr/bin/restic":                     "",
	} {
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	wrapper := filepath.Join(t.TempDir(), "bin", "restic") // nothing was compiled yet
	if err := WrapProgram(root, "/usr/bin/restic", wrapper); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(wrapper, "a b", "c").Output()
	want := "loader --library-path " + root + "/usr/lib/x86_64-linux-gnu " + root + "/usr/bin/restic a b c\n"
	if err != nil || string(out) != want {
		t.Errorf("ran %q (%v), want %q", out, err, want)
	}
	if err := WrapProgram(t.TempDir(), "/usr/bin/restic", wrapper); err == nil {
		t.Error("an empty image was accepted")
	}
}
