package agent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/addons/database"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/test/databases"
)

// shop has something of everything that a dump must bring back.
const shop = `
CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, note text, picture bytea, price numeric(12,2), at timestamptz, tags text[], extra jsonb);
INSERT INTO items
  SELECT i, 'item ' || i || ' ünïcödé \ ''"$x$ ' || chr(9) || chr(10) || '\.' || chr(10) || '\! touch /tmp/no', CASE WHEN i % 3 = 0 THEN NULL ELSE E'\\.\n\\connect other\n--' END,
         decode(md5(i::text) || md5((i + 1)::text), 'hex'), i / 7.0, '2026-01-02 03:04:05+06'::timestamptz + i * interval '1 second', ARRAY['a', NULL, '{"}'], jsonb_build_object('i', i, 'q', '''"\')
  FROM generate_series(1, 20000) AS i;
CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 10 AND name LIKE E'item %\\%';
CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n, sum(price) AS total FROM items;
CREATE TABLE log (id serial PRIMARY KEY, what text);
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT x + x; END;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  INSERT INTO log (what) VALUES ('changed; "' || NEW.id || E'\'' || $q$ it's
CREATE ROLE nobody_here;
\connect template1
$q$);
  RETURN NEW;
END $body$;
CREATE TRIGGER noted AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION noted();
COMMENT ON TABLE items IS E'; -- \\connect x\n\\connect y\n/* ''';
CREATE TABLE "We;rd -- ""$t$ ; /* Näme" ("\! col" int, "COPY x FROM stdin;" text);
INSERT INTO "We;rd -- ""$t$ ; /* Näme" VALUES (1, 'x'), (2, E'\\');
SELECT lo_from_bytea(0, decode(repeat(md5(i::text), 5000), 'hex')) FROM generate_series(1, 3) AS i;
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO parts SELECT i, '2026-01-01'::date + i FROM generate_series(0, 100) AS i;
GRANT SELECT ON items TO reader;
GRANT UPDATE (name) ON items TO "Wri;ter";
ALTER TABLE log OWNER TO "Wri;ter";
CREATE SCHEMA more AUTHORIZATION "Wri;ter";
UPDATE items SET name = name WHERE id = 7;
`

const roles = `
CREATE ROLE reader LOGIN PASSWORD 'reader-pass';
CREATE ROLE "Wri;ter" LOGIN PASSWORD 'it''s; \ "x"' CONNECTION LIMIT 5;
COMMENT ON ROLE reader IS 'reads';
GRANT reader TO "Wri;ter";
ALTER ROLE reader SET statement_timeout = '5s';
`

// facts are what is compared.
const facts = `
SELECT 'items', count(*), md5(string_agg(i::text, '|' ORDER BY id)) FROM items AS i;
SELECT 'cheap', count(*), pg_get_viewdef('cheap') FROM cheap;
SELECT 'sums', * FROM sums;
SELECT 'log', * FROM log ORDER BY id;
SELECT 'next', last_value, is_called FROM log_id_seq;
SELECT 'weird', md5(string_agg(w::text, '|' ORDER BY 1)) FROM "We;rd -- ""$t$ ; /* Näme" AS w;
SELECT 'lo', count(*), string_agg(md5(lo_get(oid)), '|' ORDER BY oid) FROM pg_largeobject_metadata;
SELECT 'parts', count(*) FROM parts_1;
SELECT 'function', proname, md5(pg_get_functiondef(oid)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 2;
SELECT 'trigger', tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal;
SELECT 'comment', obj_description('items'::regclass);
SELECT 'acl', relname, relacl, relowner::regrole FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 2;
SELECT 'column', attname, attacl FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid = 'items'::regclass;
SELECT 'schema', nspname, nspowner::regrole FROM pg_namespace WHERE nspname = 'more';
SELECT 'role', rolname, rolcanlogin, rolconnlimit, rolconfig FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 2;
SELECT 'member', roleid::regrole, member::regrole FROM pg_auth_members WHERE roleid::regrole::text = 'reader';
`

// strange is the name of a database.
const strange = `a'b "c" \d $e$`

// newShop is a server with two databases and roles.
func newShop(t *testing.T) databases.Postgres {
	t.Helper()
	p := databases.NewPostgres(t)
	p.Exec("postgres", roles+"CREATE DATABASE shop OWNER \"Wri;ter\"; CREATE DATABASE "+`"`+strings.ReplaceAll(strange, `"`, `""`)+`"`)
	p.Exec("shop", shop)
	p.Exec(strange, "CREATE TABLE t (x text); INSERT INTO t VALUES ('in the strange one')")
	p.Exec("postgres", "CREATE TABLE settings (x text); INSERT INTO settings VALUES ('of postgres')")
	return p
}

func of(p databases.Postgres, params ...string) protocol.Database {
	d := protocol.Database{
		Addon: "postgres", Server: database.Server{Host: p.Host, Port: p.Port, User: "postgres", Password: databases.Password},
		Params: map[string]string{"waitTimeout": "10"},
	}
	for i := 0; i < len(params); i += 2 {
		d.Params[params[i]] = params[i+1]
	}
	return d
}

// live is an agent with real programs.
type live struct {
	repo
	agent *started
	s     *fakeStream
}

func newLive(t *testing.T) live {
	t.Helper()
	path := databases.Path(t)
	r := newRepo(t)
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ToolPath = path
	c.Timings.Silence = 10 * patience // the test is busy with the servers
	a := start(t, c)
	return live{r, a, b.stream()}
}

func (x live) dumped(id string, d protocol.Database) string {
	x.t.Helper()
	result := x.s.do(protocol.Task{ID: id, Repository: x.Repository, Dump: &protocol.Dump{Database: d, Host: "host-0"}})
	mustSucceed(x.t, result)
	return result.Backups[0].Summary.SnapshotID
}

func (x live) loaded(id, snapshot string, d protocol.Database) protocol.Result {
	x.t.Helper()
	return x.s.do(protocol.Task{ID: id, Repository: x.Repository, Load: &protocol.Load{Database: d, ID: snapshot}})
}

func TestPostgresIsBroughtBackWhole(t *testing.T) {
	x := newLive(t)
	from, to := newShop(t), databases.NewPostgres(t)
	want := from.Exec("shop", facts)
	id := x.dumped("session-1", of(from))

	mustSucceed(t, x.loaded("restore-1", id, of(to)))

	if diff := cmp.Diff(want, to.Exec("shop", facts)); diff != "" {
		t.Errorf("the databases differ:\n%s", diff)
	}
	if got := to.Exec(strange, "SELECT x FROM t") + to.Exec("postgres", "SELECT x FROM settings"); got != "in the strange oneof postgres" {
		t.Errorf("other databases hold %q", got)
	}
	for user, password := range map[string]string{"reader": "reader-pass", "Wri;ter": `it's; \ "x"`} {
		if _, err := to.Try(user, password, "shop", "SELECT 1"); err != nil {
			t.Errorf("%s cannot log in: %v", user, err)
		}
	}
}

func TestPostgresLoadedWhereSomethingIs(t *testing.T) {
	x := newLive(t)
	from := newShop(t)
	want := from.Exec("shop", facts)
	all := x.dumped("all", of(from))
	clean := x.dumped("clean", of(from, "args", "--clean --if-exists"))
	one := x.dumped("one", of(from, "backupCMD", "pg_dump", "args", "shop"))

	t.Run("a database that is there ends the load of all", func(t *testing.T) {
		result := x.loaded("r1", all, of(from))
		mustFail(t, result, protocol.ReasonLoadFailed)
		if !strings.Contains(result.Error, `psql: exit status 3: psql:<stdin>:`) || !strings.Contains(result.Error, `already exists`) {
			t.Errorf("error = %s", result.Error)
		}
	})
	t.Run("one database is loaded as a whole or not at all", func(t *testing.T) {
		from.Exec("shop", "DROP TABLE parts")
		result := x.loaded("r2", one, of(from, "args", "--dbname=shop"))
		mustFail(t, result, protocol.ReasonLoadFailed)
		if got := from.Exec("shop", "SELECT count(*) FROM pg_class WHERE relname = 'parts'"); got != "0" || !strings.Contains(result.Error, "already exists") {
			t.Errorf("parts is there %s times after %s", got, result.Error)
		}
	})
	t.Run("one database into an empty one", func(t *testing.T) {
		from.Exec("postgres", "CREATE DATABASE copy")
		mustSucceed(t, x.loaded("r3", one, of(from, "args", "copy")))
		without := func(text string) string {
			text, _, _ = strings.Cut(text, "role|")
			return text
		}
		if diff := cmp.Diff(without(want), without(from.Exec("copy", facts))); diff != "" {
			t.Errorf("the databases differ:\n%s", diff)
		}
	})
	t.Run("a dump that cleans replaces what is there", func(t *testing.T) {
		from.Exec("shop", "DELETE FROM items; CREATE TABLE later (x int)")
		from.Exec("postgres", "DROP DATABASE copy")
		result := x.loaded("r4", clean, of(from))
		mustSucceed(t, result)
		if diff := cmp.Diff(want, from.Exec("shop", facts)); diff != "" {
			t.Errorf("the databases differ:\n%s", diff)
		}
	})
}

func TestPostgresThatCannotBeDumped(t *testing.T) {
	x := newLive(t)
	p := databases.NewPostgres(t)
	p.Exec("postgres", roles)
	for name, c := range map[string]struct {
		change func(*protocol.Database)
		reason protocol.Reason
		want   string
	}{
		"a wrong password": {func(d *protocol.Database) { d.Server.Password = "hunter2-is-wrong" }, protocol.ReasonDumpFailed, `password authentication failed for user "postgres"`},
		"no password":      {func(d *protocol.Database) { d.Server.Password = "" }, protocol.ReasonDumpFailed, "no password supplied"},
		"a role that is no superuser": {func(d *protocol.Database) {
			d.Params["user"], d.Server.Password = "reader", "reader-pass"
		}, protocol.ReasonDumpFailed, "permission denied for table pg_authid"},
		"a port where nothing is":      {func(d *protocol.Database) { d.Server.Port, d.Params["waitTimeout"] = 1, "0" }, protocol.ReasonDatabase, "127.0.0.1:1 did not answer in 0s"},
		"a server of a later version":  {func(d *protocol.Database) { d.Server.Port = later(t, p) }, protocol.ReasonDumpFailed, "aborting because of server version mismatch"},
		"a server that hangs up":       {func(d *protocol.Database) { d.Server.Port = hangsUp(t, p, 2000) }, protocol.ReasonDumpFailed, "pg_dump"},
		"no database of that name":     {func(d *protocol.Database) { d.Params["backupCMD"], d.Params["args"] = "pg_dump", "no-such" }, protocol.ReasonDumpFailed, `database "no-such" does not exist`},
		"TLS that the server does not": {func(d *protocol.Database) { d.Server.TLS.Mode = database.ModeRequire }, protocol.ReasonDumpFailed, "server does not support SSL, but SSL was required"},
	} {
		t.Run(name, func(t *testing.T) {
			d := of(p)
			c.change(&d)
			result := x.s.do(protocol.Task{ID: name, Repository: x.Repository, Dump: &protocol.Dump{Database: d, Host: "host-0"}})
			mustFail(t, result, c.reason)
			if !strings.Contains(result.Error, c.want) || strings.Contains(result.Error, "hunter2") {
				t.Errorf("error = %s", result.Error)
			}
		})
	}
	x.leftNothing(x.agent)
}

// What psql says at length of an error holds rows, and the words of a statement.
func TestAnErrorOfALoadRepeatsNoRow(t *testing.T) {
	x := newLive(t)
	p := databases.NewPostgres(t)
	for i, text := range []string{
		"CREATE TABLE a (x int PRIMARY KEY, y text);\nCOPY a FROM stdin;\n1\thunter2\n1\thunter2\n\\.\n",
		"CREATE TABLE b (x text UNIQUE);\nINSERT INTO b VALUES ('hunter2'), ('hunter2');\n",
		"CREATE ROLE x PASSWORD 'hunter2' nonsense;\n",
	} {
		x.run("backup", "-q", "--stdin-filename=dumpfile.sql", "--stdin-from-command", "--", "printf", "%s", text)
		snapshots := x.snapshots()
		result := x.loaded(fmt.Sprint("load-", i), snapshots[len(snapshots)-1].ID, of(p))
		mustFail(t, result, protocol.ReasonLoadFailed)
		if !strings.Contains(result.Error, "ERROR") || strings.Contains(result.Error, "hunter2") {
			t.Errorf("error = %s", result.Error)
		}
	}
	if got := p.Exec("postgres", "SELECT count(*) FROM pg_class WHERE relname IN ('a', 'b')"); got != "0" {
		t.Errorf("%s tables are left", got)
	}
}
