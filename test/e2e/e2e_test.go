package e2e_test

import "testing"

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
		{"refusals", refusals()},
		{"retention", retention()},
		{"restores", restores()},
		{"bad storage and pods", badStorage()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range group.scenarios {
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
	for _, c := range badDays() {
		t.Run(c.name, func(t *testing.T) { c.run(newSite(t)) })
	}
}
