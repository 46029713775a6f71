// Package databases runs real servers for tests: of Debian's packages, on a free port of the loopback, as
// a user who is not root, in a folder of the test. They end with the test, by their process.
package databases

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Env names the PATH with the programs of the databases.
const Env = "STASH_TEST_DATABASES"

// Password is that of the first user of each server.
const Password = "correct-staple-of-the-server"

// nobody runs the servers where root runs the tests: PostgreSQL refuses root.
const nobody = 65534

// patience is how long a server may take to answer.
const patience = 60 * time.Second

// Server is a database that listens.
type Server struct {
	t    testing.TB
	Host string
	Port int
	// Dir is the server's own.
	Dir string

	cmd *exec.Cmd
	log bytes.Buffer
}

// Path returns the PATH with the programs. It skips a test where there is none; in CI that is a failure.
func Path(t testing.TB) string {
	t.Helper()
	path := os.Getenv(Env)
	switch {
	case path != "":
		return path
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not set: it must be what `go run ./test/cluster/cmd/cluster databases` prints", Env)
	}
	t.Skipf("%s is not set: set it to what `go run ./test/cluster/cmd/cluster databases` prints to run this test", Env)
	return ""
}

// prepare makes the folder of a server and finds a port.
func prepare(t testing.TB) *Server {
	t.Helper()
	Path(t)
	// Names of sockets are short: t.TempDir has the test's name.
	dir, err := os.MkdirTemp("", "db") //nolint:usetesting // as said
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	Give(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr, _ := l.Addr().(*net.TCPAddr)
	return &Server{t: t, Host: "127.0.0.1", Port: addr.Port, Dir: dir}
}

// Give makes a file the servers' own.
func Give(t testing.TB, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

// command is a program of the server's own user.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(find(s.t, name), args...)
	cmd.Dir = s.Dir
	cmd.Env = []string{"PATH=" + Path(s.t), "HOME=" + s.Dir, "TMPDIR=" + s.Dir, "LC_ALL=C.UTF-8"}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// find returns where a program is.
func find(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(Path(t)) {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	t.Fatalf("the program %s is not there", name)
	return ""
}

// run runs a program to its end.
func (s *Server) run(name string, args ...string) {
	s.t.Helper()
	out, err := s.command(name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// start starts the server and waits until ready succeeds.
func (s *Server) start(ready func() error, name string, args ...string) {
	s.t.Helper()
	s.cmd = s.command(name, args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.Stop)
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = ready(); err == nil {
			return
		}
	}
	s.Stop()
	s.t.Fatalf("%s does not answer: %v\n%s", name, err, s.log.String())
}

// Stop ends the server, at once.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// query runs a client of the server's and returns what it says.
func (s *Server) query(env []string, stdin, name string, args ...string) (string, error) {
	cmd := exec.Command(find(s.t, name), args...)
	cmd.Env = append([]string{"PATH=" + Path(s.t), "HOME=" + s.Dir, "LC_ALL=C.UTF-8"}, env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", &queryError{err, stderr.String()}
	}
	return strings.TrimSpace(string(out)), nil
}

type queryError struct {
	err  error
	said string
}

// Error says what the client said.
func (e *queryError) Error() string { return e.err.Error() + ": " + e.said }
