package session

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// A host may have snapshots of paths that are not backed up any more, and of paths that lie in each
// other. Of what several snapshots hold the newest one is restored: a path is taken from the newest
// snapshot of itself or of a directory above it, and what a newer one holds below a path is left out of
// it. In one session the narrower path is the better one: it was named beside the wider one since that
// does not hold it (another file system, an exclude pattern), or holds the same. So it is where a
// configuration backs the narrower path up by itself. Else a newer snapshot that may hold only a part of it
// is neither chosen nor passed over: a person has to.

// choice is a path of a host and the snapshot that it is taken from.
type choice struct {
	path string
	from Found
	// remark says what is particular about it.
	remark string
}

// missingError tells that a host has no snapshot of a path.
type missingError struct{ path string }

// Error says of which.
func (e missingError) Error() string { return fmt.Sprintf("no snapshot of path %q", e.path) }

// choose returns what a rule without IDs restores, a directory before what lies in it: the paths that it
// names or, where it names none, all that the host ever had, but for those that newer snapshots hold. own
// tells which paths are backed up by themselves now.
func choose(paths []string, index int, newest map[string]Found, own func(path string) bool) (chosen []choice, err error) {
	if len(paths) > 0 {
		return chooseNamed(paths, index, newest, own)
	}
	taken := map[string][]string{}
	for _, p := range slices.Sorted(maps.Keys(newest)) {
		c, _, err := source(p, index, newest, own)
		if err != nil {
			return nil, err
		}
		its := newest[p]
		if c.from.ID != its.ID && !c.from.Empty && !c.from.lacks(p, index) {
			taken[c.from.ID] = append(taken[c.from.ID], fmt.Sprintf("%q, of which the newest snapshot of its own is of %s", p, day(its.Time)))
			continue
		}
		if c.from.ID != its.ID {
			c = choice{path: p, from: its}
		}
		chosen = append(chosen, c)
	}
	chosen = remarked(chosen, newest)
	for i, c := range chosen {
		if below := taken[c.from.ID]; len(below) > 0 {
			slices.Sort(below)
			chosen[i].remark = joinRemarks(c.remark, "it also holds "+some(below))
			delete(taken, c.from.ID)
		}
	}
	return chosen, nil
}

// chooseNamed returns what a rule restores that names paths.
func chooseNamed(paths []string, index int, newest map[string]Found, own func(path string) bool) (chosen []choice, err error) {
	for _, p := range slices.Sorted(slices.Values(paths)) {
		c, ok, err := source(p, index, newest, own)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, missingError{p}
		}
		chosen = append(chosen, c)
	}
	chosen = remarked(chosen, newest)
	for i, c := range chosen {
		if below := newerBelow(c, chosen, newest); len(below) > 0 {
			chosen[i].remark = joinRemarks(c.remark, "newer snapshots hold "+some(below)+", and are not restored unless they are named")
		}
	}
	return chosen, nil
}

// newerBelow are the paths below a named one that have newer snapshots of their own, and are not named.
func newerBelow(c choice, chosen []choice, newest map[string]Found) []string {
	var below []string
	for p, f := range newest {
		named := slices.ContainsFunc(chosen, func(other choice) bool { return other.path != c.path && target.Covers(other.path, p) })
		if p != c.path && target.Covers(c.path, p) && !named && f.Time.After(c.from.Time) && !f.together(c.from) {
			below = append(below, fmt.Sprintf("%q", p))
		}
	}
	slices.Sort(below)
	return below
}

// remarked says of what is older than the newest backup of the host that it is, as far as snapshots tell
// which session they are of: the path is not backed up any more, or by another configuration, or failed.
func remarked(chosen []choice, newest map[string]Found) []choice {
	var last Found
	for _, f := range newest {
		if f.Time.After(last.Time) {
			last = f
		}
	}
	for i, c := range chosen {
		if c.remark == "" && last.Session != "" && c.from.Session != last.Session && c.from.Time.Before(last.Time) {
			chosen[i].remark = fmt.Sprintf("it is of %s; the newest backup of the host, of %s, does not hold it", day(c.from.Time), day(last.Time))
		}
	}
	return chosen
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func newestByPath(source string, found []Found) map[string]Found {
	newest := map[string]Found{}
	for _, f := range found {
		if f.Host != source {
			continue
		}
		for _, p := range f.Paths {
			if old, ok := newest[p]; !ok || f.Time.After(old.Time) {
				newest[p] = f
			}
		}
	}
	return newest
}

// covering returns the newest snapshot of the path itself or of a directory above it; of one session,
// that of the nearest.
func covering(newest map[string]Found, path string) (best Found, ok bool) {
	for p := range upwards(path) {
		if f, found := newest[p]; found && (!ok || f.Time.After(best.Time) && !f.together(best)) {
			best, ok = f, true
		}
	}
	return best, ok
}

// together tells whether two snapshots are of one session.
func (f Found) together(other Found) bool {
	return f.Session != "" && f.Session == other.Session
}

func (f Found) lacks(path string, index int) bool {
	return slices.ContainsFunc(f.Lacks, func(l Lack) bool { return l.Path == path && l.Rule == index })
}

// Elsewhere returns the paths below that of a pinned snapshot that are restored after it from others: what
// it holds of them is not restored. Pins are those of one host, in their order.
func Elsewhere(pins []v1beta1.PinnedSnapshot, i int) []string {
	if i < 0 {
		return nil
	}
	var paths []string
	dir := target.CleanPath(pins[i].Path)
	for _, later := range pins[i+1:] {
		below := target.CleanPath(later.Path)
		if later.ID != pins[i].ID && below != dir && target.Covers(dir, below) {
			paths = append(paths, later.Path)
		}
	}
	return paths
}
