package restic

import (
	"encoding/json"
	"fmt"
	"io"
)

// StatsMode is what is counted.
type StatsMode string

// Modes.
const (
	// StatsRawData counts what is stored: deduplicated and compressed.
	StatsRawData StatsMode = "raw-data"
	// StatsRestoreSize counts what a restore would write.
	StatsRestoreSize StatsMode = "restore-size"
)

// Stats counts bytes of all snapshots or of those named.
type Stats struct {
	Mode StatsMode
	IDs  []string
}

// Args returns the arguments.
func (o Stats) Args() []string {
	return append([]string{"stats", "--json", "--no-lock", "--mode=" + string(o.Mode), "--"}, o.IDs...)
}

// StatsResult is the answer.
type StatsResult struct {
	TotalSize             int64 `json:"total_size"`
	TotalUncompressedSize int64 `json:"total_uncompressed_size,omitempty"`
	TotalFileCount        int64 `json:"total_file_count,omitempty"`
	SnapshotsCount        int64 `json:"snapshots_count"`
}

// ReadStats decodes the output.
func ReadStats(r io.Reader) (StatsResult, error) {
	var s StatsResult
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return s, fmt.Errorf("decode stats: %w", err)
	}
	return s, nil
}
