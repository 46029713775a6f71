package restic_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/restic"
)

// arguments is what every sub-command's options have.
type arguments interface{ Args() []string }

func TestArgs(t *testing.T) {
	for want, options := range map[string]arguments{
		"backup --json --host=h --tag=a --tag=b --exclude=*.log --compression=max -- /data": restic.Backup{
			Host: "h", Path: "/data", Tags: []string{"a", "b"}, Exclude: []string{"*.log"}, UserArgs: []string{"--compression=max"},
		},
		"backup --json --host=h --tag=a --limit-upload=9 --stdin --stdin-filename=/dumpfile.sql": restic.Backup{
			Host: "h", Path: "/dumpfile.sql", Stdin: true, Tags: []string{"a"}, UserArgs: []string{"--limit-upload=9"},
		},
		"dump -- a /dumpfile.sql": restic.Dump{ID: "a", Path: "/dumpfile.sql"},
		"restore --json --include=/a --delete --dry-run --verbose=2 --sparse --target=/data -- abc:/data": restic.Restore{
			ID: "abc", Path: "/data", Target: "/data", Include: []string{"/a"}, Delete: true, DryRun: true, UserArgs: []string{"--sparse"},
		},
		"snapshots --json --no-lock --host=h --path=/p --tag=t": restic.Snapshots{Host: "h", Path: "/p", Tag: "t"},
		"snapshots --json --no-lock":                            restic.Snapshots{},
		"forget --json --dry-run --no-lock --group-by=host,paths --host=h --path=/p --keep-last=3 --keep-tag=x": restic.ForgetPlan{Host: "h", Path: "/p", Policy: restic.ForgetPolicy{Last: 3, Tags: []string{"x"}}},
		"forget --json --dry-run --no-lock --group-by=host,paths --host=h --keep-hourly=1 --keep-daily=2 --keep-weekly=3 --keep-monthly=4 --keep-yearly=-1": restic.ForgetPlan{
			Host: "h", Policy: restic.ForgetPolicy{Hourly: 1, Daily: 2, Weekly: 3, Monthly: 4, Yearly: -1},
		},
		"forget --json -- a b":                            restic.Forget{IDs: []string{"a", "b"}},
		"stats --json --no-lock --mode=raw-data --":       restic.Stats{Mode: restic.StatsRawData},
		"stats --json --no-lock --mode=restore-size -- a": restic.Stats{Mode: restic.StatsRestoreSize, IDs: []string{"a"}},
		"init --json --repository-version=2":              restic.Init{},
		"prune --json --quiet":                            restic.Prune{},
		"check --json":                                    restic.Check{},
		"check --json --read-data-subset=5%":              restic.Check{ReadDataSubset: "5%"},
		"unlock --json":                                   restic.Unlock{},
		"unlock --json --remove-all":                      restic.Unlock{RemoveAll: true},
		"list --json --no-lock -- locks":                  restic.List{Type: restic.ListLocks},
		"cat --json --no-lock -- config":                  restic.CatConfig{},
		"cat --json --no-lock -- lock a":                  restic.CatLock{ID: "a"},
		"cat --json --no-lock -- tree a:/p":               restic.CatTree{ID: "a", Path: "/p"},
		"ls --json --no-lock --recursive -- a":            restic.Ls{ID: "a"},
		"ls --json --no-lock --recursive -- a /p":         restic.Ls{ID: "a", Path: "/p"},
	} {
		if got := strings.Join(options.Args(), " "); got != want {
			t.Errorf("arguments are\n%s, want\n%s", got, want)
		}
	}
}

// TestNoTextBecomesAnOption gives each free text the form of an option: it must stay the value of a
// flag or come after "--".
func TestNoTextBecomesAnOption(t *testing.T) {
	const evil = "--password-command=id"
	for _, options := range []arguments{
		restic.Backup{Host: evil, Path: evil, Tags: []string{evil}, Exclude: []string{evil}},
		restic.Backup{Host: evil, Path: evil, Stdin: true},
		restic.Dump{ID: evil, Path: evil},
		restic.Restore{ID: evil, Path: evil, Target: evil, Include: []string{evil}, Exclude: []string{evil}},
		restic.Snapshots{Host: evil, Path: evil, Tag: evil},
		restic.ForgetPlan{Host: evil, Path: evil, Policy: restic.ForgetPolicy{Tags: []string{evil}}},
		restic.Forget{IDs: []string{evil}},
		restic.Stats{Mode: restic.StatsRawData, IDs: []string{evil}},
		restic.Check{ReadDataSubset: evil},
		restic.CatLock{ID: evil},
		restic.CatTree{ID: evil, Path: evil},
		restic.Ls{ID: evil, Path: evil},
	} {
		for _, arg := range options.Args() {
			if arg == "--" {
				break
			}
			if strings.HasPrefix(arg, evil) {
				t.Errorf("%T: a text is an option: %q", options, options.Args())
			}
		}
	}
}

func TestParseBackupArgs(t *testing.T) {
	got, err := restic.ParseBackupArgs([]string{"--exclude-caches", "--exclude=*.log", "--exclude", "--password-command=id", "-e", "x", "-x", "--tag=mine,yours", "--limit-upload", "100", ""})
	want := []string{"--exclude-caches", "--exclude=*.log", "--exclude=--password-command=id", "--exclude=x", "--one-file-system", "--tag=mine,yours", "--limit-upload=100"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("arguments differ: %v\n%s", err, diff)
	}
}

func TestArgumentsThatAreNotAllowedAreNamed(t *testing.T) {
	both := []string{
		"--password-command=id", "--password-file=/x", "--repo=/x", "-r", "--repository-file", "-o", "-os3.x=y", "--option=rclone.program=id",
		"--cacert=/x", "--tls-client-cert=/x", "--cache-dir=/x", "--no-cache", "--host=x", "-H", "--json", "--target=/x", "--exclude-file=/x",
		"--iexclude-file=/x", "--include-file=/x", "--stdin", "--stdin-from-command", "--files-from=/x", "--files-from-raw=/x", "--dry-run", "-n",
		"--no-lock", "--insecure-tls", "--insecure-no-password", "--key-hint=x", "--", "/etc", "-", "--quiet", "--verbose=3", "-ve", "--path=/x",
		"--EXCLUDE=x", "--exclude-cache", "--excludes=x", "--time=2020-01-01", "--parent=x", "--group-by=", "--skip-if-unchanged", "--delete",
	}
	for _, arg := range both {
		for name, allowed := range map[string]func([]string) error{"backup": restic.AllowedBackupArgs, "restore": restic.AllowedRestoreArgs} {
			err := allowed([]string{arg})
			if err == nil {
				t.Errorf("%s allows %q", name, arg)
			} else if text := err.Error(); !strings.Contains(text, arg) || !strings.Contains(text, "--limit-upload=") {
				t.Errorf("%s: %q names not both the argument and the list", name, text)
			}
		}
	}
	for _, args := range [][]string{
		{"--exclude"},
		{"--exclude="},
		{"--exclude", ""},
		{"--force=yes"},
		{"--exclude=a\x00b"},
		{"--tag=stash-session=1"},
		{"--tag=mine, stash-session=1"},
		{"--tag", "stash-x"},
	} {
		if err := restic.AllowedBackupArgs(args); err == nil {
			t.Errorf("backup allows %q", args)
		}
	}
	if err := restic.AllowedRestoreArgs([]string{"--include=*.json", "--overwrite=if-newer", "--sparse", "--verify"}); err != nil {
		t.Errorf("restore refuses what it should take: %v", err)
	}
	if err := restic.AllowedBackupArgs([]string{"--include=*.json"}); err == nil {
		t.Error("backup allows what only a restore knows")
	}
}

func TestAPolicyWithoutRulesIsEmpty(t *testing.T) {
	if !(restic.ForgetPolicy{}).IsEmpty() {
		t.Error("the zero policy is not empty")
	}
	for _, p := range []restic.ForgetPolicy{{Last: 1}, {Hourly: 1}, {Daily: 1}, {Weekly: 1}, {Monthly: 1}, {Yearly: -1}, {Tags: []string{"x"}}} {
		if p.IsEmpty() {
			t.Errorf("%+v is empty", p)
		}
	}
}
