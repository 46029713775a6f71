package e2e_test

import (
	"os"
	"regexp"
	"testing"
)

// scenario is one test. Its name is a sentence that holds if it passes.
type scenario struct {
	name string
	run  func(*site)
}

// TestSideBySide runs what disturbs nobody else, several at a time.
func TestSideBySide(t *testing.T) {
	for _, group := range []struct {
		name      string
		scenarios []scenario
	}{
		{"workloads", workloads()},
		{"existing", existing()},
		{"security", security()},
		{"backends", backends()},
		{"claims", claims()},
		{"refusals", refusals()},
		{"policies", policies()},
		{"retention", retention()},
		{"restores", restores()},
		{"bad storage and pods", badStorage()},
		{"examples", examples()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range selected(t, group.name, group.scenarios) {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(newSite(t))
				})
			}
		})
	}
}

// TestBadDays breaks nodes and the operator, one test after the other.
func TestBadDays(t *testing.T) {
	for _, c := range selected(t, "bad days", badDays()) {
		t.Run(c.name, func(t *testing.T) { c.run(newSite(t)) })
	}
}

// TestUnderLoad breaks the operator and the cluster while the API server is asked for much.
func TestUnderLoad(t *testing.T) {
	for _, c := range selected(t, "under load", underLoad()) {
		t.Run(c.name, func(t *testing.T) { c.run(newSite(t)) })
	}
}

// selected returns the scenarios that the regular expression in RUN finds; it looks at
// "<group>: <name>". An empty one finds all.
func selected(t *testing.T, group string, all []scenario) []scenario {
	t.Helper()
	wanted, err := regexp.Compile(os.Getenv("RUN"))
	if err != nil {
		t.Fatalf("RUN: %v", err)
	}
	var out []scenario
	for _, c := range all {
		if wanted.MatchString(group + ": " + c.name) {
			out = append(out, c)
		}
	}
	return out
}
