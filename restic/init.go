package restic

import "encoding/json"

// Init creates a repository of format version 2. Only one may ever run for a place: on object
// storages two at once destroy the repository although each succeeds.
type Init struct{}

// Args returns the arguments.
func (o Init) Args() []string {
	return []string{"init", "--json", "--repository-version=2"}
}

// InitResult is the message of a repository that was made.
type InitResult struct {
	ID         string `json:"id"`
	Repository string `json:"repository"`
}

// InitOutput reads the messages of init.
type InitOutput struct {
	// Result is nil until the repository is made.
	Result *InitResult
}

// Line takes one line; what is no message is skipped.
func (o *InitOutput) Line(line []byte) {
	if messageType(line) != "initialized" {
		return
	}
	var r InitResult
	if json.Unmarshal(line, &r) == nil {
		o.Result = &r
	}
}
