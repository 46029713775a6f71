package task

import "testing"

func TestOwnFunction(t *testing.T) {
	for name, c := range map[string]struct {
		function, image, arg string
		want                 Own
		ok                   bool
	}{
		"the status":                              {function: "update-status", want: Own{Action: ActionUpdateStatus}, ok: true},
		"a volume":                                {function: "pvc-backup", want: Own{Action: ActionBackup, Addon: "pvc"}, ok: true},
		"a volume back":                           {function: "pvc-restore", want: Own{Action: ActionRestore, Addon: "pvc"}, ok: true},
		"a database with its version":             {function: "postgres-backup-11.2", want: Own{ActionBackup, "postgres", "11.2"}, ok: true},
		"a release of the catalogue":              {function: "mysql-restore-8.0.14-v3", want: Own{ActionRestore, "mysql", "8.0.14-v3"}, ok: true},
		"a name with a hyphen":                    {function: "percona-xtradb-backup-5.7", want: Own{ActionBackup, "percona-xtradb", "5.7"}, ok: true},
		"the cluster's resources":                 {function: "kubedump-backup-0.1.0", want: Own{ActionBackup, "kubedump", "0.1.0"}, ok: true},
		"the draft":                               {function: "pgRecovery", want: Own{Action: ActionRestore, Addon: "postgres"}, ok: true},
		"the draft's status":                      {function: "stashpostbackup", want: Own{Action: ActionUpdateStatus}, ok: true},
		"a database without a version":            {function: "mysql-backup"},
		"a volume with a version":                 {function: "pvc-backup-1.0"},
		"an unknown database":                     {function: "cassandra-backup-3.11"},
		"somebody's own":                          {function: "export", image: "registry.example/export:v1", arg: "backup-pg"},
		"a name around one":                       {function: "my-postgres-backup-11.2"},
		"an image of the catalogue":               {function: "mine", image: "ghcr.io/stashed/stash-postgres:11.9-v1", arg: "backup-pg", want: Own{ActionBackup, "postgres", "11.9-v1"}, ok: true},
		"an image of before":                      {function: "mine", image: "stashed/postgres-stash:11.2", arg: "restore-pg", want: Own{ActionRestore, "postgres", "11.2"}, ok: true},
		"the operator's image":                    {function: "mine", image: "docker.io/appscode/stash:v0.9", arg: "backup-pvc", want: Own{Action: ActionBackup, Addon: "pvc"}, ok: true},
		"the draft's image":                       {function: "mine", image: "appscodeci/volume-tool:v1", arg: "recover", want: Own{Action: ActionRestore, Addon: "pvc"}, ok: true},
		"the operator's image and another work":   {function: "mine", image: "appscode/stash:v0.9", arg: "run-hook"},
		"an image of another registry":            {function: "mine", image: "registry.example/stashed/stash-postgres:11.9", arg: "backup-pg"},
		"an image of the catalogue, other things": {function: "mine", image: "ghcr.io/stashed/stash-postgres:11.9-v1", arg: "bash"},
	} {
		t.Run(name, func(t *testing.T) {
			var args []string
			if c.arg != "" {
				args = []string{c.arg}
			}
			if got, ok := OwnFunction(c.function, c.image, args); ok != c.ok || got != c.want {
				t.Fatalf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestImageFault(t *testing.T) {
	for image, want := range map[string]bool{
		"a": true, "a/b:v1": true, "localhost:5000/a": true, "registry.example:5000/a/b_c.d--e:v1.0_x-y": true,
		"a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef": true,
		"": false, "a b": false, "A/B": false, "a:": false, "a:b:c": false, "/a": false, "a//b": false, "a@sha256:x": false, "${a}": false, "a\n": false,
	} {
		if reason := ImageFault(image); (reason == "") != want {
			t.Errorf("%q: %q", image, reason)
		}
	}
}
