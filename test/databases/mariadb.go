package databases

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// MariaDB is a MariaDB whose root logs in with Password.
type MariaDB struct{ *Server }

// NewMariaDB makes and starts one.
func NewMariaDB(t testing.TB, settings ...string) MariaDB {
	t.Helper()
	s := prepare(t)
	data := filepath.Join(s.Dir, "data")
	s.run("mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	file := filepath.Join(s.Dir, "init.sql")
	if err := os.WriteFile(file, []byte("ALTER USER root@localhost IDENTIFIED BY '"+Password+"';\nCREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '"+Password+"';\nGRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		"--no-defaults", "--datadir=" + data, "--port=" + strconv.Itoa(s.Port), "--bind-address=127.0.0.1", "--socket=" + filepath.Join(s.Dir, "s"),
		"--pid-file=" + filepath.Join(s.Dir, "pid"), "--init-file=" + file, "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
		"--innodb-flush-log-at-trx-commit=0", "--character-set-server=utf8mb4", "--event-scheduler=OFF",
	}, settings...)
	m := MariaDB{s}
	s.start(func() error { _, err := m.Try("root", Password, "mysql", "SELECT 1"); return err }, "mariadbd", args...)
	return m
}

// Exec runs SQL in a database and returns its rows.
func (m MariaDB) Exec(database, sql string) string {
	m.t.Helper()
	out, err := m.Try("root", Password, database, sql)
	if err != nil {
		m.t.Fatalf("in %s: %v", database, err)
	}
	return out
}

// Try is Exec as another user, whose error is returned.
func (m MariaDB) Try(user, password, database, sql string) (string, error) {
	return m.query([]string{"MYSQL_PWD=" + password}, sql, "mariadb", "--no-defaults", "--protocol=tcp", "--host="+m.Host, "--port="+strconv.Itoa(m.Port),
		"--user="+user, "--batch", "--skip-column-names", "--default-character-set=utf8mb4", "--database="+database)
}
