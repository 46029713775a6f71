package restic_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-731df569/stash/restic"
)

func TestEveryVariableThatUsersMaySetIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/operations/tuning.md")
	if err != nil {
		t.Fatal(err)
	}
	names := restic.UserEnv()
	for _, name := range names {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/operations/tuning.md does not name %s", name)
		}
	}
	slices.Sort(names)
	if got := len(slices.Compact(names)); got != len(restic.UserEnv()) {
		t.Errorf("%d different names of %d", got, len(restic.UserEnv()))
	}
}
