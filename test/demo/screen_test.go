package main

import (
	"strings"
	"testing"
)

// What looks like a command can be copied to a shell.
func TestADocumentCanBeCopied(t *testing.T) {
	var out strings.Builder
	(&screen{out: &out, terminal: true}).document("kubectl apply -f -", "kind: X\nspec: {}\n")
	if want := "kubectl apply -f - <<'EOF'\nkind: X\nspec: {}\nEOF\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
}
