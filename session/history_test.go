package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
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
			for _, bs := range session.BeyondLimit(all, c.limit) {
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

func TestASessionOfWhichNoAgentHasToldIsLeftOutOnce(t *testing.T) {
	failed := func(name, pod string, ago time.Duration) v1beta1.BackupSession {
		bs := v1beta1.BackupSession{}
		at := metav1.NewTime(noon().Add(-ago))
		bs.Name, bs.Status.Phase, bs.Status.CompletionTime = name, v1beta1.BackupSessionFailed, &at
		bs.Status.Targets = []v1beta1.BackupTargetStatus{{Stats: []v1beta1.HostBackupStats{{Hostname: "host-0", Phase: v1beta1.HostBackupFailed, Pod: pod}}}}
		return bs
	}
	working := failed("working", "db-0", time.Hour)
	working.Status.Targets[0].Assignments = []v1beta1.Assignment{{Hostname: "host-1"}}
	for name, c := range map[string]struct {
		finished []v1beta1.BackupSession
		left     string
	}{
		"nobody told":               {[]v1beta1.BackupSession{failed("a", "db-0", 3*time.Hour), failed("b", "", 2*time.Hour)}, "a"},
		"the newest of two":         {[]v1beta1.BackupSession{failed("a", "", 3*time.Hour), failed("b", "", 2*time.Hour)}, "a"},
		"one that was told since":   {[]v1beta1.BackupSession{failed("a", "", 3*time.Hour), failed("b", "db-0", 2*time.Hour)}, "b"},
		"one whose agent may tell":  {[]v1beta1.BackupSession{working}, ""},
		"none of more than a day":   {[]v1beta1.BackupSession{failed("a", "", 25*time.Hour)}, "a"},
		"none, since there is none": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			for _, bs := range session.WithoutUnheard(c.finished, noon()) {
				names = append(names, bs.Name)
			}
			if got := strings.Join(names, " "); got != c.left {
				t.Errorf("left are %q, want %q", got, c.left)
			}
		})
	}
}
