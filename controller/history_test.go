package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// Of finished sessions, the oldest first: f failed, s succeeded, k were skipped.
func TestWhatABackupHistoryKeeps(t *testing.T) {
	phases := map[rune]v1beta1.BackupSessionPhase{
		'f': v1beta1.BackupSessionFailed, 's': v1beta1.BackupSessionSucceeded, 'k': v1beta1.BackupSessionSkipped,
	}
	for name, c := range map[string]struct {
		finished string
		limit    int
		kept     string
	}{
		"nothing":                   {"", 1, ""},
		"the newest":                {"sss", 1, "s2"},
		"as many as the limit says": {"sfss", 3, "f1 s2 s3"},
		"one that was skipped beside one that succeeded":   {"sk", 1, "s0 k1"},
		"one that succeeded beside many that were skipped": {"skkk", 1, "s0 k3"},
		"one that succeeded beside one that failed":        {"sf", 1, "s0 f1"},
		"one that succeeded beside many that failed":       {"ssfff", 2, "s1 f3 f4"},
		"one that succeeded beside all others":             {"sfkfk", 1, "s0 f3 k4"},
		"no older success beside a newer one":              {"sfs", 1, "s2"},
		"what never succeeded, within the limit":           {"fkf", 1, "k1 f2"},
		"nothing where the limit is 0":                     {"sfk", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var all []v1beta1.BackupSession
			for i, letter := range c.finished {
				bs := v1beta1.BackupSession{}
				bs.Name, bs.Status.Phase = fmt.Sprintf("%c%d", letter, i), phases[letter]
				all = append(all, bs)
			}
			gone := map[string]bool{}
			for _, bs := range beyond(all, c.limit) {
				gone[bs.Name] = true
			}
			var names []string
			for _, bs := range all {
				if !gone[bs.Name] {
					names = append(names, bs.Name)
				}
			}
			if got := strings.Join(names, " "); got != c.kept {
				t.Errorf("kept %q, want %q", got, c.kept)
			}
		})
	}
}
