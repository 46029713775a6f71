package agent_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/test/databases"
)

// myShop has something of everything that a dump must bring back.
const myShop = `
CREATE TABLE items (id bigint PRIMARY KEY, name varchar(200) NOT NULL, note text, picture longblob, price decimal(12,2), at datetime(6), flags bit(3), extra json);
INSERT INTO items SELECT seq, concat('item ', seq, ' ünïcödé 🐘 \\ ''"', char(9), char(10), '\\! touch /tmp/no', char(10), 'system id'), IF(seq % 3 = 0, NULL, 'x;\n-- y'),
  unhex(repeat(md5(seq), 20)), seq / 7, '2026-01-02 03:04:05.678' + INTERVAL seq SECOND, seq % 8, json_object('i', seq, 'q', '\'"\\') FROM seq_1_to_20000;
CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 10;
CREATE TABLE log (id int AUTO_INCREMENT PRIMARY KEY, what text);
CREATE TABLE ` + "`we;rd -- ``\"' Näme`" + ` (a int);
INSERT INTO ` + "`we;rd -- ``\"' Näme`" + ` VALUES (1), (2);
DELIMITER //
CREATE TRIGGER noted AFTER UPDATE ON items FOR EACH ROW BEGIN INSERT INTO log (what) VALUES (concat('changed; ', NEW.id, '\n\\! x')); END//
CREATE PROCEDURE twice(IN x int) BEGIN SELECT x + x; END//
CREATE FUNCTION half(x int) RETURNS int DETERMINISTIC BEGIN RETURN x DIV 2; END//
CREATE EVENT clean ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM log; END//
DELIMITER ;
UPDATE items SET price = 1 WHERE id = 7;
CREATE USER reader@'%' IDENTIFIED BY 'reader-pass';
GRANT SELECT ON shop.* TO reader@'%';
CREATE ROLE writers;
GRANT INSERT, UPDATE (name) ON shop.items TO writers;
GRANT writers TO reader@'%';
`

const myFacts = `
SELECT 'items', count(*), md5(group_concat(sha1(concat_ws('|', id, name, ifnull(note, 'NULL'), hex(picture), price, at, hex(flags), extra)) ORDER BY id SEPARATOR '')) FROM items;
SELECT 'cheap', count(*) FROM cheap;
SELECT 'log', id, what FROM log;
SELECT 'weird', sum(a) FROM ` + "`we;rd -- ``\"' Näme`" + `;
SELECT 'routine', routine_name, md5(routine_definition) FROM information_schema.routines WHERE routine_schema = 'shop' ORDER BY 2;
SELECT 'trigger', trigger_name, md5(action_statement) FROM information_schema.triggers WHERE trigger_schema = 'shop';
SELECT 'event', event_name, status, interval_value FROM information_schema.events;
SELECT 'next', auto_increment FROM information_schema.tables WHERE table_schema = 'shop' AND table_name = 'log';
SHOW GRANTS FOR reader@'%';
SHOW GRANTS FOR writers;
SELECT x FROM other.t;
`

func newMyShop(t *testing.T) databases.MariaDB {
	t.Helper()
	m := databases.NewMariaDB(t)
	m.Exec("mysql", "CREATE DATABASE shop; CREATE DATABASE other; CREATE TABLE other.t (x text); INSERT INTO other.t VALUES ('in the other')")
	m.Exec("shop", myShop)
	return m
}

const long = "SET group_concat_max_len = 100000000;"

func ofMariaDB(m databases.MariaDB, params ...string) protocol.Database {
	d := of(databases.Postgres(m), params...)
	d.Addon, d.Server.User = "mariadb", "root"
	return d
}

func TestMariaDBIsBroughtBackWhole(t *testing.T) {
	x := newLive(t)
	from, to := newMyShop(t), databases.NewMariaDB(t)
	want := from.Exec("shop", long+myFacts)
	id := x.dumped("session-1", ofMariaDB(from))

	mustSucceed(t, x.loaded("restore-1", id, ofMariaDB(to)))
	if diff := cmp.Diff(want, to.Exec("shop", long+myFacts)); diff != "" {
		t.Errorf("the databases differ:\n%s", diff)
	}
	if _, err := to.Try("reader", "reader-pass", "shop", "SELECT count(*) FROM items"); err != nil {
		t.Errorf("reader cannot log in: %v", err)
	}
	// Tables of the dump replace those that are there, whatever else is there stays.
	to.Exec("shop", "DELETE FROM items; CREATE TABLE later (x int); DROP EVENT clean")
	mustSucceed(t, x.loaded("restore-2", id, ofMariaDB(to)))
	if diff := cmp.Diff(want, to.Exec("shop", long+myFacts)); diff != "" {
		t.Errorf("the databases differ after the second load:\n%s", diff)
	}
	if got := to.Exec("shop", "SELECT count(*) FROM later"); got != "0" {
		t.Errorf("the later table is gone: %s", got)
	}
}

func TestMariaDBThatCannotBeDumpedOrLoaded(t *testing.T) {
	x := newLive(t)
	m := databases.NewMariaDB(t)
	m.Exec("mysql", "CREATE DATABASE shop; CREATE TABLE shop.big (x longblob); CREATE USER reader@'%' IDENTIFIED BY 'reader-pass'; GRANT SELECT ON shop.* TO reader@'%'")
	m.Exec("shop", "INSERT INTO big SELECT repeat(md5(seq), 30000) FROM seq_1_to_20")
	for name, c := range map[string]struct {
		change func(*protocol.Database)
		reason protocol.Reason
		want   string
	}{
		"a wrong password":            {func(d *protocol.Database) { d.Server.Password = "hunter2-is-wrong" }, protocol.ReasonDumpFailed, `Access denied for user 'root'`},
		"a user who may not read all": {func(d *protocol.Database) { d.Params["user"], d.Server.Password = "reader", "reader-pass" }, protocol.ReasonDumpFailed, `mariadb-dump: exit status`},
		"a port where nothing is":     {func(d *protocol.Database) { d.Server.Port, d.Params["waitTimeout"] = 1, "0" }, protocol.ReasonDatabase, "127.0.0.1:1 did not answer in 0s: dial tcp"},
		"no database of that name":    {func(d *protocol.Database) { d.Params["args"] = "--databases no-such" }, protocol.ReasonDumpFailed, `Unknown database 'no-such'`},
		"a server that hangs up": {func(d *protocol.Database) {
			d.Server.Port, d.Params["args"] = hangsUp(t, databases.Postgres(m), 3_000_000), "--databases shop"
		}, protocol.ReasonDumpFailed, "Lost connection to server"},
	} {
		t.Run(name, func(t *testing.T) {
			d := ofMariaDB(m)
			c.change(&d)
			result := x.s.do(protocol.Task{ID: name, Repository: x.Repository, Dump: &protocol.Dump{Database: d, Host: "host-0"}})
			mustFail(t, result, c.reason)
			if !strings.Contains(result.Error, c.want) || strings.Contains(result.Error, "hunter2") {
				t.Errorf("error = %s", result.Error)
			}
		})
	}
	x.leftNothing(x.agent)

	// A dump that tells the client to run a program, and one that is wrong half way.
	for text, want := range map[string]string{
		"SELECT 1;\n\\! touch " + t.TempDir() + "/trap\nCREATE TABLE shop.after_it (x int);\n":                                          "mariadb: exit status 1: ERROR at line 2",
		"CREATE TABLE shop.before_it (x int);\nCREATE USER x IDENTIFIED BY PASSWORD '*hunter2';\nCREATE TABLE shop.after_it (x int);\n": "mariadb: exit status 1: ",
	} {
		x.run("backup", "-q", "--stdin", "--stdin-filename=dumpfile.sql", "--stdin-from-command", "--", "printf", "%s", text)
		snapshots := x.snapshots()
		result := x.loaded("load "+want, snapshots[len(snapshots)-1].ID, ofMariaDB(m))
		mustFail(t, result, protocol.ReasonLoadFailed)
		if !strings.Contains(result.Error, want) || strings.Contains(result.Error, "hunter2") {
			t.Errorf("error = %s", result.Error)
		}
		if got := m.Exec("shop", "SHOW TABLES LIKE 'after_it'"); got != "" {
			t.Errorf("the load went on: %s", got)
		}
	}
}
