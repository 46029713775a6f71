package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/restic"
)

// Limits of one line from an agent. A worker's list of snapshots is the longest thing said.
const (
	MaxLine       = 1 << 20
	MaxWorkerLine = 32 << 20
)

// Bounds of what is said in a Result. They are far above anything that is meant for a person, and keep
// a status, which has a limit, from being refused.
const (
	// MaxText is of a message, in bytes.
	MaxText = 2000
	// MaxPath is of a path that is backed up; Linux has no longer ones.
	MaxPath = 4096
	// MaxName is of a name: a host, a tag, a file that could not be read.
	MaxName = 512
	// MaxNamed is how many files that could not be read are named.
	MaxNamed = 20
	// MaxPaths is how many paths one host may have.
	MaxPaths = 2000
	// MaxLacks is how much that cannot be restored is named.
	MaxLacks = 2000
	// maxID is of an ID of restic's, which has 64 digits.
	maxID = 64
	// envelope is what a line has beside its Result.
	envelope = 1 << 10
)

// Clipped cuts every text of a result to its bounds: what an agent says goes to where it is stored.
func (r Result) Clipped() Result {
	r.Error = Clip(r.Error, MaxText)
	if len(r.Reason) > maxID {
		r.Reason = ReasonOther
	}
	r.Backups = slices.Clone(r.Backups[:min(len(r.Backups), MaxPaths)])
	for i := range r.Backups {
		b := &r.Backups[i]
		b.Path, b.Summary.SnapshotID = Clip(b.Path, MaxPath), Clip(b.Summary.SnapshotID, maxID)
		b.Unreadable = clipAll(b.Unreadable, MaxNamed, MaxName)
	}
	if r.Maintained != nil {
		m := *r.Maintained
		m.RepositoryID = Clip(m.RepositoryID, maxID)
		m.Faults = clipAll(m.Faults, MaxNamed, MaxText)
		m.Snapshots = slices.Clone(m.Snapshots)
		for i := range m.Snapshots {
			clipSnapshot(&m.Snapshots[i])
		}
		m.Lacks = slices.Clone(m.Lacks[:min(len(m.Lacks), MaxLacks)])
		for i := range m.Lacks {
			l := &m.Lacks[i]
			l.ID, l.Path, l.Why = Clip(l.ID, maxID), Clip(l.Path, MaxPath), Clip(l.Why, MaxText)
		}
		m.Locks = slices.Clone(m.Locks)
		for i := range m.Locks {
			m.Locks[i].Hostname = Clip(m.Locks[i].Hostname, MaxName)
		}
		r.Maintained = &m
	}
	return r
}

func clipSnapshot(s *restic.Snapshot) {
	s.ID, s.Hostname, s.Username = Clip(s.ID, maxID), Clip(s.Hostname, MaxName), Clip(s.Username, MaxName)
	s.Paths = clipAll(s.Paths, len(s.Paths), MaxPath)
	s.Tags = clipAll(s.Tags, len(s.Tags), MaxName)
}

// Fitting makes a result fit into a line of limit bytes: one that does not would be said again and
// again. Names of files that could not be read go first; what is still too long becomes an error.
func (r Result) Fitting(limit int) Result {
	r = r.Clipped()
	if r.size() <= limit {
		return r
	}
	for i := range r.Backups {
		r.Backups[i].Unreadable = nil
	}
	if r.size() <= limit {
		return r
	}
	what := fmt.Sprintf("list of the snapshots of %d paths", len(r.Backups))
	if m := r.Maintained; m != nil {
		what = fmt.Sprintf("list of %d snapshots, %d locks and %d kept", len(m.Snapshots), len(m.Locks), len(m.Protected))
	}
	r.Error = strings.TrimPrefix(r.Error+"; the "+what+" is too long to be told", "; ")
	if r.Reason == "" {
		r.Reason = ReasonOther
	}
	r.Backups, r.Maintained = nil, nil
	return r
}

func (r Result) size() int {
	b, err := json.Marshal(r)
	if err != nil {
		return 0 // it is said by whoever sends it
	}
	return len(b) + envelope
}

// Clip cuts a text to so many bytes, with a sign that it was longer.
func Clip(s string, limit int) string {
	const sign = "…"
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len(sign)], "") + sign
}

func clipAll(list []string, count, limit int) []string {
	list = slices.Clone(list[:min(len(list), count)])
	for i := range list {
		list[i] = Clip(list[i], limit)
	}
	return list
}
