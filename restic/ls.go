package restic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Ls lists the nodes of a snapshot.
type Ls struct {
	// ID of the snapshot.
	ID string
	// Path below which all is listed, absolute; empty: everything.
	Path string
}

// Args returns the arguments.
func (o Ls) Args() []string {
	args := []string{"ls", "--json", "--no-lock", "--recursive", "--", o.ID}
	if o.Path != "" {
		args = append(args, o.Path)
	}
	return args
}

// ReadNodes calls each with every node of the output of Ls, in order, one at a time.
func ReadNodes(r io.Reader, each func(Node)) error {
	d := json.NewDecoder(r)
	for {
		var n struct {
			Node
			Kind string `json:"struct_type"`
		}
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("decode node: %w", err)
		}
		if n.Kind == "node" {
			each(n.Node)
		}
	}
}
