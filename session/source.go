package session

import (
	"fmt"
	"iter"
	"strings"
)

// source returns what a path is taken from: the newest snapshot of it or of a directory above it, or the
// one of the nearest of them that is backed up by itself.
func source(path string, index int, newest map[string]Found, own func(path string) bool) (c choice, ok bool, err error) {
	best, ok := covering(newest, path)
	c = choice{path: path, from: best}
	near, found := nearest(newest, path, func(string) bool { return true })
	if !found || near.ID == best.ID {
		return c, ok, nil
	}
	if mine, is := nearest(newest, path, own); is {
		if c.from = mine; mine.ID != best.ID && !best.Empty && !best.lacks(path, index) {
			c.remark = fmt.Sprintf("it is of %s; %s of %s, of a directory above, is newer and may hold a part of it", day(mine.Time), short(best.ID), day(best.Time))
		}
		return c, true, nil
	}
	if best.Partial && !best.Empty && !best.lacks(path, index) {
		return c, true, partlyError{fmt.Sprintf("of path %q there is snapshot %s of %s, and %s of %s, of a directory above, is newer and may hold only a part of it, "+
			"since it was made with patterns that leave files out, or nobody could look into it: name the one that you want in snapshots of the rule",
			path, short(near.ID), day(near.Time), short(best.ID), day(best.Time))}
	}
	return c, true, nil
}

// partlyError tells that the newest snapshot may hold a path only in part.
type partlyError struct{ text string }

// Error names both snapshots.
func (e partlyError) Error() string { return e.text }

// nearest returns the snapshot with files of the path itself or of the nearest directory above it, of those
// that are asked for.
func nearest(newest map[string]Found, path string, of func(path string) bool) (Found, bool) {
	for p := range upwards(path) {
		if f, ok := newest[p]; ok && !f.Empty && of(p) {
			return f, true
		}
	}
	return Found{}, false
}

// upwards yields a path and the directories above it.
func upwards(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for p := strings.TrimRight(path, "/"); ; {
			if p == "" {
				p = "/"
			}
			i := strings.LastIndexByte(p, '/')
			if !yield(p) || p == "/" || i < 0 {
				return
			}
			p = p[:i]
		}
	}
}

func joinRemarks(a, b string) string { return strings.TrimPrefix(a+"; "+b, "; ") }
