package restic

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// ListType is what is listed.
type ListType string

// ListLocks lists the locks.
const ListLocks ListType = "locks"

// List lists the IDs of a type.
type List struct {
	Type ListType
}

// Args returns the arguments.
func (o List) Args() []string {
	return []string{"list", "--json", "--no-lock", "--", string(o.Type)}
}

// ReadList reads IDs, one a line; lines that are none are skipped.
func ReadList(r io.Reader) ([]string, error) {
	var ids []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if id := strings.TrimSpace(lines.Text()); isHex(id) {
			ids = append(ids, id)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read IDs: %w", err)
	}
	return ids, nil
}

func isHex(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}
	return strings.Trim(id, "0123456789abcdef") == ""
}
