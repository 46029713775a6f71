package protocol_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/addons/database"
	"github.com/seed-731df569/stash/broker/protocol"
)

func TestADatabaseIsFound(t *testing.T) {
	many := map[string]string{}
	for i := range 300 {
		many[fmt.Sprint(i)] = ""
	}
	for name, c := range map[string]struct {
		in          protocol.Database
		file, fails string
	}{
		"the addon's file":        {protocol.Database{Addon: "postgres"}, "/dumpfile.sql", ""},
		"another file":            {protocol.Database{Addon: "postgres", File: "/all.sql"}, "/all.sql", ""},
		"another name":            {protocol.Database{Addon: "PostgreSQL"}, "/dumpfile.sql", ""},
		"an addon that is none":   {protocol.Database{Addon: "x" + strings.Repeat("y", 5000)}, "", "is not known to this agent"},
		"a folder":                {protocol.Database{Addon: "postgres", File: "a/b"}, "", "is no name of a file; for example dumpfile.sql"},
		"the folder above":        {protocol.Database{Addon: "postgres", File: ".."}, "", "is no name of a file"},
		"a name that is too long": {protocol.Database{Addon: "postgres", File: strings.Repeat("y", 5000)}, "", "is no name of a file"},
		"too many params":         {protocol.Database{Addon: "postgres", Params: many}, "", "300 params are more than 256"},
		"a param that is a book":  {protocol.Database{Addon: "postgres", Params: map[string]string{"args": strings.Repeat("y", 1<<20)}}, "", `param "args" is longer`},
	} {
		_, file, err := c.in.Find()
		switch {
		case c.fails == "" && (err != nil || file != c.file):
			t.Errorf("%s: file %q, error %v", name, file, err)
		case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails) || len(err.Error()) > 1000):
			t.Errorf("%s: error %v, want %q", name, err, c.fails)
		}
	}
}

// A task is said in JSON, and printed by nobody.
func TestADumpIsSaidAndNotShown(t *testing.T) {
	const secret = "hunter2"
	task := protocol.Task{ID: "a", Dump: &protocol.Dump{
		Database: protocol.Database{Addon: "postgres", Server: database.Server{Host: "db", Port: 5432, Password: secret, TLS: database.TLS{Key: []byte("k"), Mode: database.ModeRequire}}},
		Host:     "host-0", Tags: []string{"x"},
	}}
	text, err := json.Marshal(protocol.Down{Task: &task})
	var got protocol.Down
	if err != nil || json.Unmarshal(text, &got) != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(task, *got.Task); diff != "" {
		t.Error(diff)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if shown := fmt.Sprintf(format, *task.Dump); strings.Contains(shown, secret) {
			t.Errorf("%s shows %s", format, shown)
		}
	}
}
