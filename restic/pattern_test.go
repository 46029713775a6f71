package restic_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/restic"
)

func TestRelativePatterns(t *testing.T) {
	const dir = "/source/data"
	for pattern, want := range map[string]struct {
		patterns []string
		all      bool
	}{
		"/source/data/*.json":     {patterns: []string{"/*.json"}},
		"/source/data/sub/":       {patterns: []string{"/sub"}},
		"/source/*/x":             {patterns: []string{"/x"}},
		"/s*/d?ta/x":              {patterns: []string{"/x"}},
		"/**/x":                   {patterns: []string{"/**/x", "/x"}},
		"/source/**":              {patterns: []string{"/**"}},
		"/source/**/x":            {patterns: []string{"/**/x", "/x"}},
		"*.json":                  {patterns: []string{"*.json"}},
		"sub/*.json":              {patterns: []string{"sub/*.json"}},
		"data/*.json":             {patterns: []string{"data/*.json", "/*.json"}},
		"source/data/x":           {patterns: []string{"source/data/x", "/x"}},
		"!*.json":                 {patterns: []string{"!*.json"}},
		"!/source/data/*.json":    {patterns: []string{"!/*.json"}},
		"/other/x":                {},
		"/source/database/x":      {},
		"/source/data":            {all: true},
		"/source":                 {all: true},
		"/":                       {all: true},
		"data":                    {all: true},
		"sour*":                   {all: true},
		`/source/data/with\*star`: {patterns: []string{`/with\*star`}},
		"/source/./data//x/../y":  {patterns: []string{"/y"}},
	} {
		got, all, err := restic.RelativePatterns([]string{pattern}, dir, false)
		if diff := cmp.Diff(want.patterns, got); err != nil || all != want.all || diff != "" {
			t.Errorf("%q: all = %v, %v\n%s", pattern, all, err, diff)
		}
	}
	if got, _, _ := restic.RelativePatterns([]string{"/SOURCE/data/x"}, dir, true); len(got) != 1 {
		t.Errorf("without regard to case: %q", got)
	}
	if got, _, _ := restic.RelativePatterns([]string{"/SOURCE/data/x"}, dir, false); len(got) != 0 {
		t.Errorf("with regard to case: %q", got)
	}
	for _, malformed := range []string{"", "!", "/source/[", "["} {
		if _, _, err := restic.RelativePatterns([]string{malformed}, dir, false); err == nil {
			t.Errorf("%q is taken", malformed)
		}
	}
	if got, all, err := restic.RelativePatterns([]string{"/a/b"}, "/", false); err != nil || all || len(got) != 1 || got[0] != "/a/b" {
		t.Errorf("at the root: %q, %v, %v", got, all, err)
	}
}

func TestPatternsOfUsers(t *testing.T) {
	for pattern, want := range map[string]string{
		"*.tmp": "", "!/data/*": "", strings.Repeat("x", restic.MaxPattern): "",
		"":                          `pattern "" is empty`,
		"!":                         `pattern "!" is empty`,
		"a/[/b":                     `pattern "a/[/b" is malformed`,
		strings.Repeat("**/", 2000): `pattern "**/**/**/`,
	} {
		got := ""
		if err := restic.CheckPattern(pattern); err != nil {
			got = err.Error()
		}
		if (got == "") != (want == "") || !strings.HasPrefix(got, want) || len(got) > 256 {
			t.Errorf("%.20q: %s", pattern, got)
		}
		if err := restic.AllowedBackupArgs([]string{"--iexclude", pattern}); (err == nil) != (want == "") {
			t.Errorf("as an argument: %.20q: %v", pattern, err)
		}
	}
}
