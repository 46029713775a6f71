package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxErrors is how many different errors are kept; the rest counts as "others".
const maxErrors = 5

// Figures are what came of one kind of request.
type Figures struct {
	Name string
	// Sent were answered, or given up after their patience.
	Sent int
	// Skipped did not begin, since too many were under way.
	Skipped int
	// Failed ended in an error, Bare in an answer that lacked something.
	Failed, Bare int
	// Errors counts the failures by text.
	Errors map[string]int
	// FirstFailed and LastFailed are when the first and the last that failed began, FirstBare and
	// LastBare the same of those that lacked something, since the beginning of the run.
	FirstFailed, LastFailed, FirstBare, LastBare time.Duration
	// Times of those that did not fail.
	Times []time.Duration
}

func (f *Figures) add(at, took time.Duration, whole bool, err error) {
	f.Sent++
	switch {
	case err != nil:
		if f.Failed == 0 || at < f.FirstFailed {
			f.FirstFailed = at
		}
		f.Failed++
		f.LastFailed = max(f.LastFailed, at)
		text := err.Error()
		if _, known := f.Errors[text]; !known && len(f.Errors) >= maxErrors {
			text = "others"
		}
		f.Errors[text]++
		return
	case !whole:
		if f.Bare == 0 || at < f.FirstBare {
			f.FirstBare = at
		}
		f.Bare++
		f.LastBare = max(f.LastBare, at)
	}
	f.Times = append(f.Times, took)
}

// Quantile returns the time that a share q of those that did not fail did not exceed; 0 where there
// are none.
func (f *Figures) Quantile(q float64) time.Duration {
	if len(f.Times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f.Times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// String is one line, and one for each error.
func (f *Figures) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d sent, %d failed", f.Name, f.Sent, f.Failed)
	if f.Failed > 0 {
		fmt.Fprintf(&b, " within %s", rounded(f.LastFailed-f.FirstFailed))
	}
	fmt.Fprintf(&b, ", %d bare", f.Bare)
	if f.Bare > 0 {
		fmt.Fprintf(&b, " within %s", rounded(f.LastBare-f.FirstBare))
	}
	if f.Skipped > 0 {
		fmt.Fprintf(&b, ", %d skipped", f.Skipped)
	}
	fmt.Fprintf(&b, "; median %s, p99 %s, longest %s", rounded(f.Quantile(0.5)), rounded(f.Quantile(0.99)), rounded(f.Quantile(1)))
	for _, text := range slices.Sorted(maps.Keys(f.Errors)) {
		fmt.Fprintf(&b, "\n  %d × %s", f.Errors[text], text)
	}
	return b.String()
}

func rounded(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
