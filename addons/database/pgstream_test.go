package database_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-731df569/stash/addons/database"
)

const token = "stashTOKEN"

// load copies a dump through the stream of a load by root.
func load(t testing.TB, dump io.Reader, params map[string]string) (string, error) {
	t.Helper()
	addon, _ := database.Named("postgres")
	plan, err := addon.LoadPlan(database.Request{Server: database.Server{Host: "db", User: "root"}, Params: params, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := plan.Stream.Copy(&out, dump); err != nil {
		return out.String(), err
	}
	_, _ = out.Write(plan.Stream.Tail())
	return out.String(), nil
}

const cluster = "-- PostgreSQL database cluster dump\n"

func TestADumpOnItsWayToPsql(t *testing.T) {
	unrestricted := func(line string) string {
		return "\\unrestrict " + token + "\n" + line + "\n\\restrict " + token + "\n"
	}
	for name, c := range map[string]struct{ in, want string }{
		"one database is one transaction": {"--\n\nSET x = 1;\nSELECT 1;\n", "--\n\nBEGIN;\nSET x = 1;\nSELECT 1;\n\nCOMMIT;\n"},
		"but not what can be in none":     {"SET x = 1;\nCREATE DATABASE a;\n\\connect a\nSELECT 1;\n", "BEGIN;\nSET x = 1;\nCOMMIT;\nCREATE DATABASE a;\n" + unrestricted(`\connect a`) + "SELECT 1;\n"},
		"a dump of nothing":               {"--\n", "--\n"},
		"all databases are none":          {cluster + "SET x = 1;\n", cluster + "SET x = 1;\n"},
		"a role may be there":             {cluster + "CREATE ROLE a;\n", cluster + "DO $" + token + "$ BEGIN CREATE ROLE a; EXCEPTION WHEN duplicate_object THEN NULL; END $" + token + "$;\n"},
		"a role with a strange name":      {cluster + "CREATE ROLE \"a\"\"; b\";\n", cluster + "DO $" + token + "$ BEGIN CREATE ROLE \"a\"\"; b\"; EXCEPTION WHEN duplicate_object THEN NULL; END $" + token + "$;\n"},
		"the role that loads stays":       {cluster + "CREATE ROLE root;\nALTER ROLE root WITH SUPERUSER PASSWORD 'x;\\';\nDROP ROLE IF EXISTS root;\nALTER ROLE rooted WITH LOGIN;\n", cluster + "ALTER ROLE rooted WITH LOGIN;\n"},
		"after the roles nothing is role": {cluster + "\\connect a\nCREATE ROLE root;\n", cluster + unrestricted(`\connect a`) + "CREATE ROLE root;\n"},
		"a database with a strange name":  {cluster + "\\encoding SQL_ASCII\n\\connect -reuse-previous=on \"dbname='a \\'\\\\ \"\"'\"\n", cluster + unrestricted(`\encoding SQL_ASCII`) + unrestricted(`\connect -reuse-previous=on "dbname='a \'\\ ""'"`)},
		"rows":                            {"COPY public.t (a, \"b;\") FROM stdin;\n\\N\t\\\\! x\n\\connect a\n'\n\\.\nSELECT 1;\n", "BEGIN;\nCOPY public.t (a, \"b;\") FROM stdin;\n\\N\t\\\\! x\n\\connect a\n'\n\\.\nSELECT 1;\n\nCOMMIT;\n"},
		"a function":                      {cluster + "CREATE FUNCTION f() AS $_$\n\\connect a\n$x$ ; $_ $_$;\nCREATE ROLE root;\n", cluster + "CREATE FUNCTION f() AS $_$\n\\connect a\n$x$ ; $_ $_$;\n"},
		"a string over lines":             {cluster + "COMMENT ON x IS 'a''\n\\! x\nCREATE ROLE root;\n';\n", cluster + "COMMENT ON x IS 'a''\n\\! x\nCREATE ROLE root;\n';\n"},
		"a string with escapes":           {cluster + "SELECT E'\\'\n\\! x\n\\\\';\n", cluster + "SELECT E'\\'\n\\! x\n\\\\';\n"},
		"a name over lines":               {cluster + "DROP TABLE \"a\"\"\n\\! x\n\";\n", cluster + "DROP TABLE \"a\"\"\n\\! x\n\";\n"},
		"a comment over lines":            {cluster + "/* /* */ \n\\! x\n*/ SELECT 1;\n", cluster + "/* /* */ \n\\! x\n*/ SELECT 1;\n"},
		"a comment with a quote":          {cluster + "-- it's\nSELECT 1 -- \\! $$\n;\n", cluster + "-- it's\nSELECT 1 -- \\! $$\n;\n"},
		"a dollar in a name":              {cluster + "SELECT a$b$ FROM c;\n\\connect a\n", cluster + "SELECT a$b$ FROM c;\n" + unrestricted(`\connect a`)},
		"restricted already":              {"\\restrict abc\nSELECT 1;\n\\unrestrict abc\n", "BEGIN;\nSELECT 1;\n\nCOMMIT;\n"},
		"no line break at the end":        {"SELECT 1;", "BEGIN;\nSELECT 1;\nCOMMIT;\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := load(t, strings.NewReader(c.in), nil)
			if want := "\\restrict " + token + "\n" + c.want; err != nil || got != want {
				t.Errorf("error %v, got\n%s, want\n%s", err, got, want)
			}
			if again, _ := load(t, iotest.OneByteReader(strings.NewReader(c.in)), nil); again != got {
				t.Errorf("byte by byte it is\n%s", again)
			}
		})
	}
}

func TestADumpThatPsqlMustNotRead(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for name, dump := range map[string]string{
		"a program":                    "SELECT 1;\n\\! id\n",
		"a program after a statement":  "SELECT 1; \\! id\n",
		"a program within a statement": "SELECT\n\\! id\n;\n",
		"a file":                       "\\i /etc/passwd\n",
		"rows to a program":            "COPY t TO stdout;\n\\copy t to program 'id'\n",
		"a database of another server": "\\connect \"host=evil dbname=x\"\n",
		"a database by a program":      "\\connect `id`\n",
		"a database and another host":  "\\connect shop root evil\n",
		"a conninfo with two keys":     "\\connect -reuse-previous=on \"dbname='a' host='evil'\"\n",
		"a database by a variable":     "\\connect :x\n",
		"a command in a long line":     "SELECT '" + long + "'; \\! id\n",
		"a long command":               "\\connect " + long + "\n",
		"a string that has ended":      "SELECT 'a\\'; \\! id\n",
		"a quote that has ended":       "SELECT $a$ $a$; \\! id\n",
		"a comment that has ended":     "/* */ \\! id\n",
		"rows that have ended":         "COPY t FROM stdin;\n\\.\n\\! id\n",
		"what is not said to be rows":  "COPY t FROM stdin WITH BINARY;\n\\! id\n",
		"another encoding":             "\\encoding SJIS\n",
		"leaving the restriction":      "\\unrestrict a b\n",
	} {
		got, err := load(t, strings.NewReader(dump), nil)
		if err == nil || !strings.Contains(err.Error(), "of the dump") || len(err.Error()) > 400 {
			t.Errorf("%s: %v, and psql gets\n%s", name, err, got)
		}
	}
}

func TestWithoutATransaction(t *testing.T) {
	got, err := load(t, strings.NewReader("SELECT 1;\n"), map[string]string{"singleTransaction": "false"})
	if want := "\\restrict " + token + "\nSELECT 1;\n"; err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
}

// Whatever a dump holds, psql is let out of its restricted mode for nothing but a database.
func FuzzPgStream(f *testing.F) {
	f.Add([]byte(cluster + "CREATE ROLE a;\n\\connect a\nCOPY t FROM stdin;\n\\.\nSELECT $a$ $a$, E'\\'', \"x\";\n/* */\n"))
	f.Fuzz(func(t *testing.T, dump []byte) {
		got, err := load(t, bytes.NewReader(dump), nil)
		again, againErr := load(t, iotest.HalfReader(bytes.NewReader(dump)), nil)
		if (err == nil) != (againErr == nil) || err == nil && got != again {
			t.Fatalf("it depends on how it is read: %v, %v", err, againErr)
		}
		parts := strings.Split(got, "\\unrestrict "+token+"\n")
		for _, part := range parts[1:] {
			line, rest, _ := strings.Cut(part, "\n")
			if !strings.HasPrefix(line, `\connect `) && line != `\encoding SQL_ASCII` || err == nil && !strings.HasPrefix(rest, "\\restrict "+token) {
				t.Fatalf("psql obeys %q", part)
			}
		}
	})
}
