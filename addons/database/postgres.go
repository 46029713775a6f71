package database

import (
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
)

// postgres is dumped as SQL by pg_dumpall, all databases with their roles, or by pg_dump, one of them.
func postgres() Addon {
	return Addon{
		Name: "postgres", Aliases: []string{"pg", "postgresql"}, Port: 5432, File: "dumpfile.sql", User: "postgres",
		UserKeys: []string{"username", "POSTGRES_USER"}, PasswordKeys: []string{"password", "POSTGRES_PASSWORD"},
		dump: postgresDump, load: postgresLoad,
	}
}

const (
	pgDump    = "pg_dump"
	pgDumpAll = "pg_dumpall"
	// pgDatabase is there in every server.
	pgDatabase = "postgres"
)

func postgresDump(r Request, p *params) (Plan, error) {
	plan, err := postgresPlan(&r, p)
	if err != nil {
		return plan, err
	}
	program := strings.TrimSpace(p.get(paramCommand, pgDumpAll))
	args := p.get(paramArgs, "")
	argv := []string{program, "--no-password"}
	switch program {
	case pgDump:
		database, flags, err := pgDumpArgs(args, r.Server.Database)
		if err != nil {
			return plan, err
		}
		argv = append(argv, flags...)
		plan.Commands = []Command{{Argv: argv, Env: append(postgresEnv(r), "PGDATABASE="+database)}}
	case pgDumpAll:
		given, err := parse(paramArgs, args, pgDumpAllFlags(), pgDenied())
		if err != nil {
			return plan, err
		}
		flags, words := plainWords(given)
		if len(words) > 0 {
			return plan, fmt.Errorf("param %s: %q: pg_dumpall dumps every database and takes none: for one database write param %s: pg_dump", paramArgs, clip(words[0]), paramCommand)
		}
		plan.Commands = []Command{{Argv: append(argv, flags...), Env: postgresEnv(r)}}
	default:
		return plan, fmt.Errorf("param %s: %q is not allowed: it is pg_dumpall, which dumps all databases and roles, or pg_dump", paramCommand, clip(program))
	}
	return plan, nil
}

// pgDumpArgs returns the database of a pg_dump and its flags.
func pgDumpArgs(args, database string) (string, []string, error) {
	given, err := parse(paramArgs, args, pgDumpFlags(), pgDenied())
	if err != nil {
		return "", nil, err
	}
	flags, words := plainWords(given)
	flags = slices.DeleteFunc(flags, func(f string) bool {
		if !strings.HasPrefix(f, "--dbname=") {
			return false
		}
		words = append(words, strings.TrimPrefix(f, "--dbname="))
		return true
	})
	if len(words) > 1 {
		return "", nil, fmt.Errorf("param %s: %q: pg_dump dumps one database, and %q is named too: write pg_dumpall for all, or one Task for each", paramArgs, clip(words[1]), clip(words[0]))
	}
	if len(words) == 1 {
		database = words[0]
	}
	if database == "" {
		database = pgDatabase
	}
	return database, flags, pgName(database)
}

func postgresLoad(r Request, p *params) (Plan, error) {
	plan, err := postgresPlan(&r, p)
	if err != nil {
		return plan, err
	}
	single, err := p.boolean(paramSingle, true)
	if err != nil {
		return plan, err
	}
	given, err := parse(paramArgs, p.get(paramArgs, ""), psqlFlags(), psqlDenied())
	if err != nil {
		return plan, err
	}
	database := r.Server.Database
	for _, a := range given {
		switch {
		case a.plain:
			database = a.name
		case a.name == "--dbname":
			database = a.value
		}
	}
	if database == "" {
		database = pgDatabase
	}
	if err := pgName(database); err != nil {
		return plan, err
	}
	// Terse errors: what else psql says of one holds rows, and passwords of roles.
	plan.Commands = []Command{{
		Argv: []string{"psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse", "--file=-"},
		Env:  append(postgresEnv(r), "PGDATABASE="+database),
	}}
	plan.Stream = &pgStream{token: r.Token, own: r.Server.User, single: single}
	return plan, nil
}

// postgresPlan is what a dump and a load have in common.
func postgresPlan(r *Request, p *params) (Plan, error) {
	if user := strings.TrimSpace(p.get(paramUser, "")); user != "" {
		r.Server.User = user
	}
	s := r.Server
	if s.TLS.Mode == ModeVerifyFull && s.TLS.ServerName != "" && s.TLS.ServerName != s.Host && net.ParseIP(s.Host) == nil {
		return Plan{}, fmt.Errorf("serverName %q: PostgreSQL's programs compare the certificate with the host %q: give the server a certificate of that name, or write sslmode=verify-ca in the query of service or url", clip(s.TLS.ServerName), s.Host)
	}
	return Plan{
		Probe: postgresProbe(*r),
		Files: postgresFiles(*r),
	}, nil
}

// postgresProbe asks without TLS if need be, and logs nobody in: whether the certificates are right is for
// the dump to say, which says why.
func postgresProbe(r Request) *Command {
	r.Server.TLS, r.Server.Password = TLS{}, ""
	return &Command{Argv: []string{"pg_isready", "--timeout=5"}, Env: append(postgresEnv(r), "PGDATABASE="+pgDatabase)}
}

func postgresFiles(r Request) []File {
	var files []File
	for name, content := range map[string][]byte{"ca.crt": r.Server.TLS.CA, "tls.crt": r.Server.TLS.Cert, "tls.key": r.Server.TLS.Key} {
		if len(content) > 0 {
			files = append(files, File{Name: name, Content: content})
		}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files
}

func postgresEnv(r Request) []string {
	s := r.Server
	env := []string{
		"PGHOST=" + s.Host, "PGPORT=" + strconv.Itoa(s.Port), "PGUSER=" + s.User,
		"PGCONNECT_TIMEOUT=30", "PGAPPNAME=stash", "PGGSSENCMODE=disable", "PGPASSFILE=" + path.Join(r.Dir, "none"),
	}
	if s.Password != "" {
		env = append(env, "PGPASSWORD="+s.Password)
	}
	if s.TLS.Mode == ModeVerifyFull && s.TLS.ServerName != "" && s.TLS.ServerName != s.Host {
		env[0] = "PGHOST=" + s.TLS.ServerName
		env = append(env, "PGHOSTADDR="+s.Host)
	}
	mode := string(s.TLS.Mode)
	if s.TLS.Mode == ModePrefer {
		mode = "prefer"
	}
	env = append(env, "PGSSLMODE="+mode)
	if len(s.TLS.CA) > 0 {
		env = append(env, "PGSSLROOTCERT="+path.Join(r.Dir, "ca.crt"))
	}
	if len(s.TLS.Cert) > 0 {
		env = append(env, "PGSSLCERT="+path.Join(r.Dir, "tls.crt"), "PGSSLKEY="+path.Join(r.Dir, "tls.key"))
	}
	return env
}

// pgName refuses what libpq would read as a whole connection, to another server with our password.
func pgName(database string) error {
	if strings.ContainsAny(database, "=\r\n\x00") || strings.Contains(database, "://") {
		return errors.New("database: write its name alone, such as shop: host, port and user come from the AppBinding")
	}
	return nil
}

func pgNameFlag(name, short string) flag {
	return flag{name: name, short: short, value: true, refuse: pgName}
}

// sqlFlags are those that pg_dump and pg_dumpall share. Left out on purpose: what writes or reads files,
// what says where to connect to, and --encoding, since a dump in an encoding that no database has cannot
// be told apart safely into statements.
func sqlFlags() []flag {
	return []flag{
		{name: "clean", short: "c"},
		{name: "if-exists"},
		{name: "schema-only", short: "s"},
		{name: "data-only", short: "a"},
		{name: "no-owner", short: "O"},
		{name: "no-privileges", short: "x"},
		{name: "no-acl"},
		{name: "no-comments"},
		{name: "no-publications"},
		{name: "no-security-labels"},
		{name: "no-subscriptions"},
		{name: "no-tablespaces"},
		{name: "no-toast-compression"},
		{name: "no-table-access-method"},
		{name: "no-unlogged-table-data"},
		{name: "inserts"},
		{name: "column-inserts"},
		{name: "attribute-inserts"},
		{name: "rows-per-insert", value: true},
		{name: "on-conflict-do-nothing"},
		{name: "disable-triggers"},
		{name: "disable-dollar-quoting"},
		{name: "extra-float-digits", value: true},
		{name: "load-via-partition-root"},
		{name: "lock-wait-timeout", value: true},
		{name: "quote-all-identifiers"},
		{name: "role", value: true},
		{name: "superuser", short: "S", value: true},
		{name: "use-set-session-authorization"},
		{name: "verbose", short: "v"},
	}
}

func pgDumpAllFlags() []flag {
	return append(sqlFlags(),
		flag{name: "globals-only", short: "g"},
		flag{name: "roles-only", short: "r"},
		flag{name: "tablespaces-only", short: "t"},
		flag{name: "no-role-passwords"},
		flag{name: "exclude-database", value: true},
		pgNameFlag("database", "l"))
}

func pgDumpFlags() []flag {
	return append(sqlFlags(),
		flag{name: "create", short: "C"},
		flag{name: "blobs", short: "b"},
		flag{name: "large-objects"},
		flag{name: "no-blobs", short: "B"},
		flag{name: "no-large-objects"},
		flag{name: "schema", short: "n", value: true},
		flag{name: "exclude-schema", short: "N", value: true},
		flag{name: "table", short: "t", value: true},
		flag{name: "table-and-children", value: true},
		flag{name: "exclude-table", short: "T", value: true},
		flag{name: "exclude-table-and-children", value: true},
		flag{name: "exclude-table-data", value: true},
		flag{name: "extension", short: "e", value: true},
		flag{name: "section", value: true},
		flag{name: "enable-row-security"},
		flag{name: "serializable-deferrable"},
		flag{name: "strict-names"},
		flag{name: "format", short: "F", value: true, refuse: func(v string) error {
			if v == "p" || v == "plain" {
				return nil
			}
			return errors.New("the dump is loaded by psql, which reads the plain format alone: leave it out, restic compresses by itself")
		}},
		pgNameFlag("dbname", "d"))
}

func pgDenied() map[string]string {
	const connection = "host, port, user and password come from the AppBinding and its Secret; for another user write param user"
	const writes = "the dump goes into the repository and into no file"
	const plain = "the dump is a stream of plain SQL; restic compresses and splits it by itself"
	return map[string]string{
		"-h": connection, "--host": connection, "-p": connection, "--port": connection, "-U": connection, "--username": connection,
		"-W": connection, "--password": connection, "-w": connection, "--no-password": connection,
		"-d": "pg_dumpall dumps every database; --database=<name> says which one it connects to first", "--dbname": connection,
		"-f": writes, "--file": writes, "-F": plain, "--format": plain, "-j": plain, "--jobs": plain, "-Z": plain, "--compress": plain,
		"--filter": "it reads a file: write --table, --exclude-table and the like",
		"-E":       "the dump has the encoding of the database, which loads everywhere", "--encoding": "the dump has the encoding of the database, which loads everywhere",
	}
}

func psqlFlags() []flag {
	strict := func(v string) error {
		if v == "ON_ERROR_STOP=1" || v == "ON_ERROR_STOP=on" {
			return nil
		}
		return errors.New("a restore stops at the first error: leave it out, or write ON_ERROR_STOP=1")
	}
	return []flag{
		pgNameFlag("dbname", "d"),
		{name: "quiet", short: "q"},
		{name: "single-transaction", short: "1"},
		{name: "set", short: "v", value: true, refuse: strict},
		{name: "variable", value: true, refuse: strict},
	}
}

func psqlDenied() map[string]string {
	denied := pgDenied()
	const runs = "psql would run what it names: what is restored is the dump and nothing else"
	const writes = "psql would write or read files of the pod"
	for _, name := range []string{"-c", "--command", "-f", "--file"} {
		denied[name] = runs
	}
	for _, name := range []string{"-o", "--output", "-L", "--log-file"} {
		denied[name] = writes
	}
	return denied
}
