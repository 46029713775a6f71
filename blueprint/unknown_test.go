package blueprint_test

import (
	"strings"
	"testing"

	"github.com/seed-731df569/stash/blueprint"
)

func TestUnknownAnnotationsAreNamed(t *testing.T) {
	const asks = "stash.appscode.com/backup-blueprint=daily "
	for name, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"none":                             {"", asks, nil},
		"one beside right ones":            {"", asks + "stash.appscode.com/shedule=@daily", []string{"did you mean stash.appscode.com/schedule?"}},
		"one alone":                        {"", "stash.appscode.com/backup-bluprint=mine", []string{"did you mean stash.appscode.com/backup-blueprint?"}},
		"an exemption from policies":       {"", asks + "stash.appscode.com/protection-exemption=cache", nil},
		"in capitals":                      {"", "stash.appscode.com/targetPaths=/data", []string{"did you mean stash.appscode.com/target-paths?"}},
		"in the singular":                  {"", "stash.appscode.com/volume-mount=data:/data", []string{"did you mean stash.appscode.com/volume-mounts?"}},
		"one that is like none":            {"", "stash.appscode.com/retention=7", []string{"those are stash.appscode.com/backup-blueprint, "}},
		"two":                              {"", "stash.appscode.com/retention=7 stash.appscode.com/shedule=x", []string{"retention", "shedule"}},
		"one that is stored already":       {"stash.appscode.com/shedule=x", asks + "stash.appscode.com/shedule=x", nil},
		"a stored one that changes":        {"stash.appscode.com/shedule=x", "stash.appscode.com/shedule=y", []string{"shedule"}},
		"one that is taken away":           {"stash.appscode.com/shedule=x", "", nil},
		"of others":                        {"", "appscode.com/shedule=x params.stash.appscode.com/args=x stash.appscode.com.evil/x=y", nil},
		"the draft's":                      {"", "stash.appscode.com/backuptemplate=x stash.appscode.com/targetDirectories=[/a] stash.appscode.com/restorepolicy=OnRestart", nil},
		"what the existing Stash has left": {"", "stash.appscode.com/last-applied-backup-invoker-kind=x stash.appscode.com/tag=v1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := blueprint.Unknown(pairs(c.old), pairs(c.new))
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("got %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
	many := map[string]string{}
	for _, r := range "abcdefghij" {
		many["stash.appscode.com/"+strings.Repeat(string(r), 20)] = ""
	}
	if got := blueprint.Unknown(nil, many); len(got) != 5 {
		t.Errorf("%d warnings", len(got))
	}
}

// pairs reads "key=value key=value".
func pairs(text string) map[string]string {
	out := map[string]string{}
	for pair := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(pair, "=")
		out[key] = value
	}
	return out
}
