package restic

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Snapshot is one backup of one host.
type Snapshot struct {
	// ID is the full ID in hexadecimal.
	ID string `json:"id"`
	// ShortID is the form that people see.
	ShortID string `json:"short_id"`
	// Time is when the backup started.
	Time time.Time `json:"time"`
	// Hostname is what --host said.
	Hostname string `json:"hostname"`
	// Paths are the absolute paths that were backed up; ours has one.
	Paths []string `json:"paths"`
	// Tags of the snapshot.
	Tags []string `json:"tags,omitempty"`
	// Excludes are the patterns of --exclude that it was made with; of several only the first is read.
	Excludes []string `json:"excludes,omitempty"`
	// Tree is the ID of the root tree.
	Tree string `json:"tree"`
	// Parent is the snapshot that this one was compared with; empty for the first.
	Parent string `json:"parent,omitempty"`
	// Username, UID and GID are those that restic ran as.
	Username string `json:"username,omitempty"`
	UID      uint32 `json:"uid,omitempty"`
	GID      uint32 `json:"gid,omitempty"`
	// Summary counts what was backed up; nil for snapshots of restic before 0.17.
	Summary *SnapshotSummary `json:"summary,omitempty"`
}

// SnapshotSummary counts what a backup found.
type SnapshotSummary struct {
	BackupStart         time.Time `json:"backup_start"`
	BackupEnd           time.Time `json:"backup_end"`
	FilesNew            int64     `json:"files_new"`
	FilesChanged        int64     `json:"files_changed"`
	FilesUnmodified     int64     `json:"files_unmodified"`
	DataAdded           int64     `json:"data_added"`
	DataAddedPacked     int64     `json:"data_added_packed"`
	TotalFilesProcessed int64     `json:"total_files_processed"`
	TotalBytesProcessed int64     `json:"total_bytes_processed"`
}

// Empty tells whether the snapshot is known to hold no file.
func (s Snapshot) Empty() bool { return s.Summary != nil && s.Summary.TotalFilesProcessed == 0 }

// HasTag tells whether the snapshot carries the tag.
func (s Snapshot) HasTag(tag string) bool { return slices.Contains(s.Tags, tag) }

// HasPath tells whether the path is one of those that were backed up.
func (s Snapshot) HasPath(path string) bool { return slices.Contains(s.Paths, path) }

// HasID tells whether id is the snapshot's ID or a prefix of it; an empty one is not.
func (s Snapshot) HasID(id string) bool { return id != "" && strings.HasPrefix(s.ID, id) }

// Snapshots lists snapshots; empty fields do not filter.
type Snapshots struct {
	Host string
	Path string
	Tag  string
}

// Args returns the arguments. The repository is not locked: listing must not wait for a prune.
func (o Snapshots) Args() []string {
	args := []string{"snapshots", "--json", "--no-lock"}
	args = appendFlag(args, "--host", o.Host)
	args = appendFlag(args, "--path", o.Path)
	return appendFlag(args, "--tag", o.Tag)
}

// ReadSnapshots decodes the output, oldest first.
func ReadSnapshots(r io.Reader) ([]Snapshot, error) {
	var list []Snapshot
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		return nil, fmt.Errorf("decode snapshots: %w", err)
	}
	for i := range list {
		list[i].Excludes = list[i].Excludes[:min(1, len(list[i].Excludes))]
	}
	slices.SortStableFunc(list, func(a, b Snapshot) int { return a.Time.Compare(b.Time) })
	return list, nil
}
