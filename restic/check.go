package restic

import "encoding/json"

// Check verifies the structure of the repository.
type Check struct {
	// ReadDataSubset also reads that part of the data, for example "5%" or "1G"; empty: none.
	ReadDataSubset string
}

// Args returns the arguments.
func (o Check) Args() []string {
	return appendFlag([]string{"check", "--json"}, "--read-data-subset", o.ReadDataSubset)
}

// CheckSummary is the last message of a check. Damage is listed on stderr (Stderr.Faults).
type CheckSummary struct {
	NumErrors   int64    `json:"num_errors"`
	BrokenPacks []string `json:"broken_packs"`
}

// CheckOutput reads the messages of check.
type CheckOutput struct {
	// Summary is nil where the check did not come to an end.
	Summary *CheckSummary
}

// Line takes one line; what is no message is skipped.
func (o *CheckOutput) Line(line []byte) {
	if messageType(line) != "summary" {
		return
	}
	var s CheckSummary
	if json.Unmarshal(line, &s) == nil {
		o.Summary = &s
	}
}
