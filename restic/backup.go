package restic

import (
	"bytes"
	"encoding/json"
	"time"
)

// Backup backs up one path, or its input, into one snapshot.
type Backup struct {
	// Host is the name that snapshots are grouped by.
	Host string
	// Path is absolute. With Stdin it is where in the snapshot the input is, in the root.
	Path string
	// Stdin backs up what restic reads from its input, as one file.
	Stdin bool
	// Tags of the snapshot.
	Tags []string
	// Exclude are patterns of what is left out.
	Exclude []string
	// UserArgs are of the user; they must have passed ParseBackupArgs, which also writes them in
	// the form that is appended here.
	UserArgs []string
}

// Args returns the arguments.
func (o Backup) Args() []string {
	args := []string{"backup", "--json"}
	args = appendFlag(args, "--host", o.Host)
	args = appendFlag(args, "--tag", o.Tags...)
	args = appendFlag(args, "--exclude", o.Exclude...)
	args = append(args, o.UserArgs...)
	if o.Stdin {
		return appendFlag(append(args, "--stdin"), "--stdin-filename", o.Path)
	}
	return append(args, "--", o.Path)
}

// BackupSummary is the last message of a backup.
type BackupSummary struct {
	FilesNew        int64 `json:"files_new"`
	FilesChanged    int64 `json:"files_changed"`
	FilesUnmodified int64 `json:"files_unmodified"`
	DirsNew         int64 `json:"dirs_new"`
	DirsChanged     int64 `json:"dirs_changed"`
	DirsUnmodified  int64 `json:"dirs_unmodified"`
	// DataAdded is what was new, in bytes before compression; DataAddedPacked is what was stored.
	DataAdded       int64 `json:"data_added"`
	DataAddedPacked int64 `json:"data_added_packed"`
	// TotalFilesProcessed and TotalBytesProcessed count all that is in the snapshot.
	TotalFilesProcessed int64 `json:"total_files_processed"`
	TotalBytesProcessed int64 `json:"total_bytes_processed"`
	// TotalDuration is in seconds.
	TotalDuration float64   `json:"total_duration"`
	BackupStart   time.Time `json:"backup_start,omitzero"`
	BackupEnd     time.Time `json:"backup_end,omitzero"`
	// SnapshotID is the full ID.
	SnapshotID string `json:"snapshot_id"`
}

// BackupStatus is how far a backup is.
type BackupStatus struct {
	SecondsElapsed   int64    `json:"seconds_elapsed,omitempty"`
	SecondsRemaining int64    `json:"seconds_remaining,omitempty"`
	PercentDone      float64  `json:"percent_done"` // 0 to 1
	TotalFiles       int64    `json:"total_files,omitempty"`
	FilesDone        int64    `json:"files_done,omitempty"`
	TotalBytes       int64    `json:"total_bytes,omitempty"`
	BytesDone        int64    `json:"bytes_done,omitempty"`
	ErrorCount       int64    `json:"error_count,omitempty"`
	CurrentFiles     []string `json:"current_files,omitempty"`
}

// BackupOutput reads the messages of a backup, line by line.
type BackupOutput struct {
	// OnStatus is called with each status; it may be nil.
	OnStatus func(BackupStatus)
	// Summary is nil until restic has written the snapshot.
	Summary *BackupSummary
}

// Line takes one line; what is no message is skipped.
func (o *BackupOutput) Line(line []byte) {
	switch messageType(line) {
	case "status":
		var s BackupStatus
		if o.OnStatus != nil && json.Unmarshal(line, &s) == nil {
			o.OnStatus(s)
		}
	case "summary":
		var s BackupSummary
		if json.Unmarshal(line, &s) == nil {
			o.Summary = &s
		}
	}
}

// messageType returns the message_type of a JSON line, or "".
func messageType(line []byte) string {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' {
		return ""
	}
	var m struct {
		Type string `json:"message_type"`
	}
	if json.Unmarshal(line, &m) != nil {
		return ""
	}
	return m.Type
}
