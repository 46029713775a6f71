package restic

import "encoding/json"

// Restore writes what is below Path in a snapshot to Target. The directory Path itself keeps the
// owner, mode and times that Target has: restic leaves out the root of what it restores.
type Restore struct {
	// ID of the snapshot.
	ID string
	// Path in the snapshot, absolute, a directory.
	Path string
	// Target is the directory to write to.
	Target string
	// Include and Exclude are patterns relative to Path ("/" is Path); not both.
	Include []string
	Exclude []string
	// Delete removes what is in Target and not in the snapshot.
	Delete bool
	// DryRun writes nothing and names each item that would be written, on RestoreOutput.OnItem.
	DryRun bool
	// UserArgs are of the user; they must have passed ParseRestoreArgs.
	UserArgs []string
}

// Args returns the arguments.
func (o Restore) Args() []string {
	args := []string{"restore", "--json"}
	args = appendFlag(args, "--include", o.Include...)
	args = appendFlag(args, "--exclude", o.Exclude...)
	if o.Delete {
		args = append(args, "--delete")
	}
	if o.DryRun {
		args = append(args, "--dry-run", "--verbose=2")
	}
	args = append(args, o.UserArgs...)
	args = append(args, "--target="+o.Target)
	return append(args, "--", o.ID+":"+o.Path)
}

// RestoreStatus is how far a restore is; the last one, of type summary, is the result.
type RestoreStatus struct {
	SecondsElapsed int64   `json:"seconds_elapsed,omitempty"`
	PercentDone    float64 `json:"percent_done,omitempty"` // 0 to 1
	TotalFiles     int64   `json:"total_files,omitempty"`  // directories are counted too, files that are left as they are are not
	FilesRestored  int64   `json:"files_restored,omitempty"`
	FilesSkipped   int64   `json:"files_skipped,omitempty"` // were there already
	FilesDeleted   int64   `json:"files_deleted,omitempty"`
	TotalBytes     int64   `json:"total_bytes,omitempty"`
	BytesRestored  int64   `json:"bytes_restored,omitempty"`
	BytesSkipped   int64   `json:"bytes_skipped,omitempty"`
}

// Found tells whether there was anything to restore, be it only files that are in the target as they are
// in the snapshot: restic counts those as skipped, and not among the total.
func (s RestoreStatus) Found() bool { return s.TotalFiles > 0 || s.FilesSkipped > 0 }

// RestoreSummary is the last message of a restore.
type RestoreSummary = RestoreStatus

// RestoreOutput reads the messages of a restore, line by line.
type RestoreOutput struct {
	// OnStatus is called with each status; it may be nil.
	OnStatus func(RestoreStatus)
	// OnItem is called with the path of each item, relative to Restore.Path and with a leading
	// slash; it may be nil. Only with DryRun.
	OnItem func(path string)
	// Summary is nil until restic has ended.
	Summary *RestoreSummary
}

// Line takes one line; what is no message is skipped.
func (o *RestoreOutput) Line(line []byte) {
	switch messageType(line) {
	case "status":
		var s RestoreStatus
		if o.OnStatus != nil && json.Unmarshal(line, &s) == nil {
			o.OnStatus(s)
		}
	case "verbose_status":
		var v struct {
			Action string `json:"action"`
			Item   string `json:"item"`
		}
		if o.OnItem != nil && json.Unmarshal(line, &v) == nil && v.Item != "" && v.Action != "deleted" {
			o.OnItem(v.Item)
		}
	case "summary":
		var s RestoreSummary
		if json.Unmarshal(line, &s) == nil {
			o.Summary = &s
		}
	}
}
