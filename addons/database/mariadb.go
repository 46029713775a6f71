package database

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// mariadb is dumped as SQL by mariadb-dump.
func mariadb() Addon {
	return Addon{
		Name: "mariadb", Port: 3306, File: "dumpfile.sql", User: "root",
		UserKeys: []string{"username", "MYSQL_USERNAME", "user"}, PasswordKeys: []string{"password", "MYSQL_PASSWORD"},
		dump: func(r Request, p *params) (Plan, error) { return mariadbDump(r, p, true) },
		load: mariadbLoad,
	}
}

// mysql is MySQL, by the programs of MariaDB.
func mysql() Addon {
	a := mariadb()
	a.Name = "mysql"
	a.dump = func(r Request, p *params) (Plan, error) { return mariadbDump(r, p, false) }
	return a
}

// nextDump parts the dumps of multiDumpArgs, as in the existing Stash.
const nextDump = "$args="

// mariadbDump makes one dump of all databases, and after it one of the users, whose rights are on what must
// be there, unless the params ask for something else. The system's own tables are not dumped from MariaDB: what a user may is, as statements
// that any later version understands.
func mariadbDump(r Request, p *params, users bool) (Plan, error) {
	plan := mariadbPlan(&r, p, "mariadb-admin")
	text, multi := strings.TrimSpace(p.get(paramArgs, "")), strings.TrimSpace(p.get(paramMulti, ""))
	if text != "" && multi != "" {
		return plan, fmt.Errorf("params %s and %s are both given: write the one dump or the several", paramArgs, paramMulti)
	}
	dumps := []string{text}
	param := paramArgs
	if multi != "" {
		param = paramMulti
		dumps = strings.Split(strings.TrimPrefix(multi, nextDump), nextDump)
	}
	for _, dump := range dumps {
		given, err := parse(param, dump, mysqldumpFlags(), mysqldumpDenied())
		if err != nil {
			return plan, err
		}
		flags, words := plainWords(given)
		argv := append(mariadbArgv("mariadb-dump", r), "--single-transaction", "--quick", "--routines", "--events", "--triggers", "--hex-blob")
		argv = append(argv, flags...)
		if len(given) == 0 && users {
			argv = append(argv, "--ignore-database=mysql")
		}
		if len(words) > 0 {
			argv = append(append(argv, "--"), words...)
		} else if !chooses(flags) {
			argv = append(argv, "--all-databases")
		}
		plan.Commands = append(plan.Commands, Command{Argv: argv, Env: mariadbEnv(r)})
		if len(given) == 0 && users {
			plan.Commands = append(plan.Commands, Command{
				Argv: append(mariadbArgv("mariadb-dump", r), "--system=users", "--insert-ignore"), Env: mariadbEnv(r),
			})
		}
	}
	return plan, nil
}

// chooses tells whether flags say what is dumped.
func chooses(flags []string) bool {
	for _, f := range flags {
		if name, _, _ := strings.Cut(f, "="); name == "--all-databases" || name == "--system" {
			return true
		}
	}
	return false
}

func mariadbLoad(r Request, p *params) (Plan, error) {
	plan := mariadbPlan(&r, p, "mariadb-admin")
	given, err := parse(paramArgs, p.get(paramArgs, ""), mysqlFlags(), mysqlDenied())
	if err != nil {
		return plan, err
	}
	database := r.Server.Database
	// An error must not repeat its statement, which holds rows and passwords of users.
	argv := append(mariadbArgv("mariadb", r), "--batch", "--loose-skip-print-query-on-error", "--sandbox", "--skip-local-infile", "--binary-mode", "--max-allowed-packet=1G")
	for _, a := range given {
		switch {
		case a.plain:
			database = a.name
		case a.name == "--database":
			database = a.value
		default:
			argv = append(argv, a.word())
		}
	}
	if database != "" {
		argv = append(argv, "--database="+database)
	}
	plan.Commands = []Command{{Argv: argv, Env: mariadbEnv(r)}}
	return plan, nil
}

func mariadbPlan(r *Request, p *params, admin string) Plan {
	if user := strings.TrimSpace(p.get(paramUser, "")); user != "" {
		r.Server.User = user
	}
	return Plan{
		Probe: &Command{Argv: append(mariadbArgv(admin, *r), "--connect-timeout=5", "ping"), Env: mariadbEnv(*r)},
		Files: postgresFiles(*r),
	}
}

// mariadbArgv begins with what keeps settings of the image out.
func mariadbArgv(program string, r Request) []string {
	s := r.Server
	argv := []string{
		program, "--no-defaults", "--protocol=tcp", "--host=" + s.Host, "--port=" + strconv.Itoa(s.Port), "--user=" + s.User,
		"--default-character-set=utf8mb4",
	}
	switch s.TLS.Mode {
	case ModePrefer, ModeDisable:
		argv = append(argv, "--skip-ssl")
	case ModeRequire:
		argv = append(argv, "--ssl", "--skip-ssl-verify-server-cert")
	case ModeVerifyCA, ModeVerifyFull:
		argv = append(argv, "--ssl", "--ssl-verify-server-cert")
	}
	if s.TLS.Mode == ModePrefer || s.TLS.Mode == ModeDisable {
		return argv
	}
	if len(s.TLS.CA) > 0 {
		argv = append(argv, "--ssl-ca="+path.Join(r.Dir, "ca.crt"))
	}
	if len(s.TLS.Cert) > 0 {
		argv = append(argv, "--ssl-cert="+path.Join(r.Dir, "tls.crt"), "--ssl-key="+path.Join(r.Dir, "tls.key"))
	}
	return argv
}

func mariadbEnv(r Request) []string {
	if r.Server.Password == "" {
		return nil
	}
	return []string{"MYSQL_PWD=" + r.Server.Password}
}

// mysqldumpFlags leave out, on purpose, what writes files here or at the server (--tab, --result-file),
// reads files (--defaults-*, --init-command of none), runs SQL of its own (--where) or says where to
// connect to.
func mysqldumpFlags() []flag {
	return []flag{
		{name: "all-databases", short: "A"},
		{name: "databases", short: "B"},
		{name: "add-drop-database"},
		{name: "add-drop-table"},
		{name: "add-drop-trigger"},
		{name: "add-drop-user"},
		{name: "add-locks"},
		{name: "comments"},
		{name: "compact"},
		{name: "complete-insert"},
		{name: "disable-keys"},
		{name: "events", short: "E"},
		{name: "extended-insert", short: "e"},
		{name: "flush-privileges"},
		{name: "hex-blob"},
		{name: "ignore-database", value: true},
		{name: "ignore-table", value: true},
		{name: "ignore-table-data", value: true},
		{name: "insert-ignore"},
		{name: "lock-tables", short: "l"},
		{name: "lock-all-tables", short: "x"},
		{name: "master-data", value: true},
		{name: "max-allowed-packet", value: true},
		{name: "net-buffer-length", value: true},
		{name: "no-autocommit"},
		{name: "no-create-db", short: "n"},
		{name: "no-create-info", short: "t"},
		{name: "no-data", short: "d"},
		{name: "no-tablespaces", short: "y"},
		{name: "order-by-primary"},
		{name: "quick", short: "q"},
		{name: "replace"},
		{name: "routines", short: "R"},
		{name: "single-transaction"},
		{name: "skip-add-drop-table"},
		{name: "skip-add-locks"},
		{name: "skip-comments"},
		{name: "skip-disable-keys"},
		{name: "skip-events"},
		{name: "skip-extended-insert"},
		{name: "skip-hex-blob"},
		{name: "skip-lock-tables"},
		{name: "skip-routines"},
		{name: "skip-triggers"},
		{name: "skip-tz-utc"},
		{name: "system", value: true},
		{name: "triggers"},
		{name: "tz-utc"},
		{name: "verbose", short: "v"},
	}
}

func mysqldumpDenied() map[string]string {
	denied := mysqlDenied()
	const writes = "the dump goes into the repository and into no file"
	for _, name := range []string{"-r", "--result-file", "-T", "--tab", "--log-error"} {
		denied[name] = writes
	}
	denied["-w"] = "it is SQL of its own, which could write files at the server: dump whole tables"
	denied["--where"] = denied["-w"]
	denied["--set-gtid-purged"] = "it is MySQL's, and not known to mariadb-dump, which dumps MySQL here"
	denied["--column-statistics"] = denied["--set-gtid-purged"]
	return denied
}

func mysqlFlags() []flag {
	return []flag{
		{name: "database", short: "D", value: true},
		{name: "one-database", short: "o"},
		{name: "max-allowed-packet", value: true},
	}
}

func mysqlDenied() map[string]string {
	const connection = "host, port, user, password and certificates come from the AppBinding and its Secrets"
	const files = "it reads files of the pod, or runs a program"
	denied := map[string]string{
		"-f": "a restore stops at the first error", "--force": "a restore stops at the first error",
	}
	for _, name := range []string{"-h", "--host", "-P", "--port", "-u", "--user", "-p", "--password", "-S", "--socket", "--protocol", "--ssl", "--ssl-ca", "--ssl-cert", "--ssl-key", "--ssl-capath", "--skip-ssl"} {
		denied[name] = connection
	}
	for _, name := range []string{"--defaults-file", "--defaults-extra-file", "--defaults-group-suffix", "--login-path", "--plugin-dir", "--local-infile", "--init-command", "--pager", "--tee", "-e", "--execute", "--character-sets-dir"} {
		denied[name] = files
	}
	return denied
}
