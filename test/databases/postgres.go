package databases

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Postgres is a PostgreSQL whose superuser postgres logs in with Password.
type Postgres struct{ *Server }

// NewPostgres makes and starts one; settings are further arguments, such as -c and ssl=on.
func NewPostgres(t testing.TB, settings ...string) Postgres {
	t.Helper()
	s := prepare(t)
	file := filepath.Join(s.Dir, "password")
	if err := os.WriteFile(file, []byte(Password+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(s.Dir, "data")
	s.run("initdb", "--pgdata="+data, "--username=postgres", "--auth=scram-sha-256", "--pwfile="+file, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	args := append([]string{
		"-D", data, "-p", strconv.Itoa(s.Port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.Dir,
		"-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20",
	}, settings...)
	p := Postgres{s}
	s.start(func() error { _, err := p.query(p.env("postgres"), "", "psql", "-X", "-c", "SELECT 1"); return err }, "postgres", args...)
	return p
}

func (p Postgres) env(database string) []string {
	return []string{"PGHOST=" + p.Host, "PGPORT=" + strconv.Itoa(p.Port), "PGUSER=postgres", "PGPASSWORD=" + Password, "PGDATABASE=" + database}
}

// Exec runs SQL in a database and returns its rows.
func (p Postgres) Exec(database, sql string) string {
	p.t.Helper()
	out, err := p.query(p.env(database), sql, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-")
	if err != nil {
		p.t.Fatalf("in %s: %v", database, err)
	}
	return out
}

// Try is Exec as another user, whose error is returned.
func (p Postgres) Try(user, password, database, sql string) (string, error) {
	env := append(p.env(database), "PGUSER="+user, "PGPASSWORD="+password)
	return p.query(env, sql, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-")
}
