package database_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/addons/database"
)

const hunter = "hunter2"

// server has something in each field.
func server() database.Server {
	return database.Server{Host: "db.shop.svc", Port: 7, User: "root", Password: hunter, Database: "shop"}
}

func pairs(list ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		out[list[i]] = list[i+1]
	}
	return out
}

// shown is a plan in few lines.
func shown(p database.Plan) string {
	var lines []string
	for _, c := range p.Commands {
		lines = append(lines, strings.Join(c.Argv, " "), "  "+strings.Join(c.Env, " "))
	}
	return strings.Join(lines, "\n")
}

func TestPlans(t *testing.T) {
	const pg = "  PGHOST=db.shop.svc PGPORT=7 PGUSER=root PGCONNECT_TIMEOUT=30 PGAPPNAME=stash PGGSSENCMODE=disable PGPASSFILE=/d/none PGPASSWORD=hunter2 PGSSLMODE=prefer"
	const psql = "psql --no-psqlrc --no-password --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --set=VERBOSITY=terse --file=-\n"
	const my = "--no-defaults --protocol=tcp --host=db.shop.svc --port=7 --user=root --default-character-set=utf8mb4 --skip-ssl "
	const dump = "mariadb-dump " + my + "--single-transaction --quick --routines --events --triggers --hex-blob"
	const client = "mariadb " + my + "--batch --loose-skip-print-query-on-error --sandbox --skip-local-infile --binary-mode --max-allowed-packet=1G"
	const pwd = "\n  MYSQL_PWD=hunter2"
	for _, c := range []struct {
		name, addon string
		load        bool
		params      map[string]string
		want        string
	}{
		{"all databases", "postgres", false, nil, "pg_dumpall --no-password\n" + pg},
		{"with arguments", "pg", false, pairs("args", " -c --if-exists  --exclude-database 'a b' ", "user", "me"), "pg_dumpall --no-password --clean --if-exists --exclude-database=a b\n" + strings.Replace(pg, "USER=root", "USER=me", 1)},
		{"the AppBinding's database", "postgres", false, pairs("backupCMD", "pg_dump", "outputDir", "/x"), "pg_dump --no-password\n" + pg + " PGDATABASE=shop"},
		{"another database", "postgres", false, pairs("backupCMD", "pg_dump", "args", "-d stock -n 'a*' -Fp"), "pg_dump --no-password --schema=a* --format=plain\n" + pg + " PGDATABASE=stock"},
		{"a database as a word", "postgres", false, pairs("backupCMD", "pg_dump", "args", "--clean stock"), "pg_dump --no-password --clean\n" + pg + " PGDATABASE=stock"},
		{"a load", "postgres", true, nil, psql + pg + " PGDATABASE=shop"},
		{"a load elsewhere", "postgres", true, pairs("args", "--dbname=stock -q -v ON_ERROR_STOP=1 --single-transaction"), psql + pg + " PGDATABASE=stock"},
		{"MariaDB", "mariadb", false, nil, dump + " --ignore-database=mysql --all-databases" + pwd + "\nmariadb-dump " + my + "--system=users --insert-ignore" + pwd},
		{"MySQL", "mysql", false, nil, dump + " --all-databases" + pwd},
		{"some databases", "mysql", false, pairs("args", "--databases a b --skip-events"), dump + " --databases --skip-events -- a b" + pwd},
		{"several dumps", "mariadb", false, pairs("multiDumpArgs", "$args=--databases a $args=b t"), dump + " --databases -- a" + pwd + "\n" + dump + " -- b t" + pwd},
		{"flags alone mean all", "mariadb", false, pairs("args", "--no-data"), dump + " --no-data --all-databases" + pwd},
		{"a load of MariaDB", "mariadb", true, nil, client + " --database=shop" + pwd},
		{"a load of MariaDB elsewhere", "mysql", true, pairs("args", "-D stock --one-database"), client + " --one-database --database=stock" + pwd},
	} {
		t.Run(c.name, func(t *testing.T) {
			addon, _ := database.Named(c.addon)
			plan := addon.DumpPlan
			if c.load {
				plan = addon.LoadPlan
			}
			got, err := plan(database.Request{Server: server(), Params: c.params, Dir: "/d", Token: token})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, strings.ReplaceAll(shown(got), "--format=p\n", "--format=plain\n")); diff != "" {
				t.Error(diff)
			}
			if got.Wait != 300*time.Second || (got.Stream != nil) != (c.load && strings.HasPrefix(c.name, "a load") && addon.Name == "postgres") {
				t.Errorf("wait %s, stream %v", got.Wait, got.Stream)
			}
		})
	}
}

func TestParamsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		addon  string
		load   bool
		params map[string]string
		want   string
	}{
		{"postgres", false, pairs("args", "--file=/etc/x"), `param args: "--file" is not allowed: the dump goes into the repository and into no file`},
		{"postgres", false, pairs("args", "-f/etc/"+hunter), `param args: "-f" is not allowed`},
		{"postgres", false, pairs("args", "-h evil"), `param args: "-h" is not allowed: host, port, user and password come from the AppBinding`},
		{"postgres", false, pairs("args", "shop"), `param args: "shop": pg_dumpall dumps every database and takes none: for one database write param backupCMD: pg_dump`},
		{"postgres", false, pairs("args", "--database=host=evil"), `write its name alone`},
		{"postgres", false, pairs("args", "--encoding=SJIS"), `"--encoding" is not allowed: the dump has the encoding of the database`},
		{"postgres", false, pairs("args", "--no-such"), `"--no-such" is not allowed: allowed are --clean`},
		{"postgres", false, pairs("args", "--clean=1"), `takes no value: write --clean`},
		{"postgres", false, pairs("args", "--role"), `needs a value: write --role=<value>`},
		{"postgres", false, pairs("args", "--role 'a"), `a quote ' is not closed`},
		{"postgres", false, pairs("backupCMD", "pg_dump; id"), `param backupCMD: "pg_dump; id" is not allowed: it is pg_dumpall`},
		{"postgres", false, pairs("backupCMD", "pg_dump", "args", "-Fc"), `psql, which reads the plain format alone`},
		{"postgres", false, pairs("backupCMD", "pg_dump", "args", "a b"), `pg_dump dumps one database`},
		{"postgres", false, pairs("backupCMD", "pg_dump", "args", "-d postgres://evil/x"), `write its name alone`},
		{"postgres", false, pairs("waitTimeout", "soon"), `param waitTimeout: "soon" is no number of seconds`},
		{"postgres", false, pairs("multiDumpArgs", "x"), `param "multiDumpArgs" is not known to the addon postgres here: it knows args, backupCMD, user, waitTimeout`},
		{"postgres", true, pairs("args", "-c 'drop'"), `param args: "-c" is not allowed: psql would run what it names`},
		{"postgres", true, pairs("args", "-v ON_ERROR_STOP=0"), `a restore stops at the first error`},
		{"postgres", true, pairs("args", "-o x"), `psql would write or read files of the pod`},
		{"postgres", true, pairs("singleTransaction", "perhaps"), `"perhaps" is neither true nor false`},
		{"mariadb", false, pairs("args", "--result-file=/x"), `the dump goes into the repository and into no file`},
		{"mariadb", false, pairs("args", "-T /x"), `the dump goes into the repository and into no file`},
		{"mariadb", false, pairs("args", "--defaults-file=/x"), `reads files of the pod`},
		{"mariadb", false, pairs("args", "-p"+hunter), `param args: "-p" is not allowed: host, port, user, password`},
		{"mariadb", false, pairs("args", "a", "multiDumpArgs", "$args=b"), `params args and multiDumpArgs are both given`},
		{"mariadb", false, pairs("multiDumpArgs", "$args=a $args=-r x"), `param multiDumpArgs: "-r" is not allowed`},
		{"mysql", true, pairs("args", "--force"), `a restore stops at the first error`},
		{"mysql", true, pairs("args", "-e 'drop'"), `runs a program`},
	} {
		addon, _ := database.Named(c.addon)
		plan := addon.DumpPlan
		if c.load {
			plan = addon.LoadPlan
		}
		_, err := plan(database.Request{Server: server(), Params: c.params, Dir: "/d"})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), hunter) {
			t.Errorf("%s %v: %v, want %q", c.addon, c.params, err, c.want)
		}
	}
}

func TestServersThatAreRefused(t *testing.T) {
	for want, change := range map[string]func(*database.Server){
		`host "" is no host name`:        func(s *database.Server) { s.Host = "" },
		`host "a,b" is no`:               func(s *database.Server) { s.Host = "a,b" },
		`host "/run/x" is no`:            func(s *database.Server) { s.Host = "/run/x" },
		`host "--x" is no`:               func(s *database.Server) { s.Host = "--x" },
		`port 70000 is none`:             func(s *database.Server) { s.Port = 70000 },
		`tls.crt and tls.key`:            func(s *database.Server) { s.TLS.Key = []byte("x") },
		`mode verify-full needs the CA`:  func(s *database.Server) { s.TLS.Mode = database.ModeVerifyFull },
		`TLS mode "allow" is not known`:  func(s *database.Server) { s.TLS.Mode = "allow" },
		`no line break and no NUL byte`:  func(s *database.Server) { s.User = "a\nb" },
		`password must hold no NUL byte`: func(s *database.Server) { s.Password = "a\x00b" },
	} {
		for _, addon := range database.All() {
			s := server()
			change(&s)
			if _, err := addon.DumpPlan(database.Request{Server: s}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hunter) {
				t.Errorf("%s: %v, want %q", addon.Name, err, want)
			}
		}
	}
}

func TestOfType(t *testing.T) {
	for of, want := range map[string]string{
		"kubedb.com/postgres": "postgres", "postgres": "postgres", "a.b/c/PostgreSQL": "postgres", "kubedb.com/postgreses": "postgres",
		"kubedb.com/mysql": "mysql", "kubedb.com/mariadbs": "mariadb", "kubedb.com/mongodb": "", "": "", "/": "", "s": "",
	} {
		if got, ok := database.OfType(of); got.Name != want || ok != (want != "") {
			t.Errorf("%q is %q", of, got.Name)
		}
	}
}

// No secret is an argument, and no param becomes one that was not looked at.
func TestNoSecretIsAnArgument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addon := rapid.SampledFrom(database.All()).Draw(t, "addon")
		s := server()
		s.TLS = database.TLS{Mode: database.ModeVerifyCA, CA: []byte("ca"), Cert: []byte("cert"), Key: []byte(hunter)}
		args := rapid.SampledFrom([]string{"", "--clean", "--file=/x", "-h", "--databases", "x", "'a b'", "\"", "-", "--", "--no-data"})
		params := pairs("args", fmt.Sprint(args.Draw(t, "one"), " ", args.Draw(t, "two")))
		for name, plan := range map[string]func(database.Request) (database.Plan, error){"dump": addon.DumpPlan, "load": addon.LoadPlan} {
			got, err := plan(database.Request{Server: s, Params: params, Dir: "/d", Token: token})
			if err != nil {
				continue
			}
			for _, c := range append(got.Commands, *got.Probe) {
				if strings.Contains(strings.Join(c.Argv, " "), hunter) || slices.Contains(c.Argv, "--file=/x") || slices.Contains(c.Argv, "-h") {
					t.Fatalf("%s: %q", name, c.Argv)
				}
			}
		}
	})
}
