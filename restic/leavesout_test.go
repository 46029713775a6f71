package restic_test

import (
	"strings"
	"testing"

	"github.com/seed-731df569/stash/restic"
)

func TestWhatMayKeepFilesOutOfABackup(t *testing.T) {
	for args, want := range map[string]bool{
		"":                                     false,
		"--exclude-larger-than 1G":             true,
		"--exclude-if-present=.nobackup":       true,
		"--exclude-caches":                     true,
		"-e *.ibd":                             true,
		"--iexclude=*.IBD":                     true,
		"-x":                                   true,
		"--force --tag exclude --ignore-inode": false,
		"--unknown":                            true,
	} {
		if got := restic.LeavesOut(strings.Fields(args)); got != want {
			t.Errorf("%q: %t, want %t", args, got, want)
		}
	}
}

// Many patterns of a tenant would be told to everybody who looks for a snapshot.
func TestOfPatternsThatASnapshotWasMadeWithOneIsRead(t *testing.T) {
	list, err := restic.ReadSnapshots(strings.NewReader(`[{"id": "a", "excludes": ["*.ibd", "*.tmp"]}, {"id": "b"}]`))
	if err != nil || len(list[0].Excludes) != 1 || len(list[1].Excludes) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
