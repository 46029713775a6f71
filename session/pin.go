package session

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// Found is a snapshot that the repository's worker found.
type Found struct {
	ID    string
	Host  string
	Paths []string
	Time  time.Time
	// Session that it was taken in, where that is known.
	Session string
	// Empty tells that it is known to hold no file.
	Empty bool
	// Partial tells that it may hold only a part of what lies in its paths: it was made with patterns that
	// leave files out, or nobody looked into it.
	Partial bool
	// Lacks are what rules cannot restore from it, as far as the worker looked.
	Lacks []Lack
}

// Lack is a path that a rule cannot restore from a snapshot.
type Lack struct {
	Path string
	// Rule is the rule's index.
	Rule int
	// Why is a sentence.
	Why string
}

// lackError tells that a snapshot does not hold what a rule restores from it.
type lackError struct{ text string }

// Error says what is missing.
func (e lackError) Error() string { return e.text }

// RuleFor returns the rule that holds for a host: the first that names it, else the one that names
// none. The index is -1 where there is neither.
func RuleFor(rules []v1beta1.Rule, host string) (v1beta1.Rule, int) {
	for i, r := range rules {
		if slices.Contains(r.TargetHosts, host) {
			return r, i
		}
	}
	for i, r := range rules {
		if len(r.TargetHosts) == 0 {
			return r, i
		}
	}
	return v1beta1.Rule{}, -1
}

// SourceOf is the host whose snapshots a rule restores into a host.
func SourceOf(rule v1beta1.Rule, host string) string {
	return cmp.Or(rule.SourceHost, host)
}

// Wish is what a restore says about what is to be restored, and where it could be written.
type Wish struct {
	Rules []v1beta1.Rule
	// Mounts are the paths at which volumes are mounted; empty where that is not known.
	Mounts []string
	// Apart tells that each host has what is restored for itself, in volumes that outlive its pods: one for
	// which there is no rule keeps what it has.
	Apart bool
	// Own are the paths that configurations back up by themselves now, by host; those of the host "" are
	// of any.
	Own map[string][]string
}

// owns tells whether a configuration backs a path of a host up by itself.
func (w Wish) owns(host, path string) bool {
	return slices.Contains(w.Own[host], path) || slices.Contains(w.Own[""], path)
}

// Pin chooses the snapshots of every host, or says why it cannot: a restore that would bring
// nothing back for one of its hosts is refused as a whole before anything changes, and so is one that
// would write beside the volumes, into what dies with its container.
func Pin(wish Wish, hosts []string, found []Found) ([]v1beta1.PinnedSnapshot, error) {
	if err := wish.misses(hosts); err != nil {
		return nil, err
	}
	restored, _ := wish.Split(hosts)
	return wish.pin(restored, found)
}

func (w Wish) pin(hosts []string, found []Found) ([]v1beta1.PinnedSnapshot, error) {
	var out []v1beta1.PinnedSnapshot
	for _, host := range hosts {
		rule, i := RuleFor(w.Rules, host)
		if i < 0 {
			return nil, fmt.Errorf("no rule is for host %q, which cannot be left alone: only claims of volumeClaimTemplates and folders of a DaemonSet's nodes are a host's own and outlive its pods; a rule for it replaces what it holds now with what the snapshot holds", host)
		}
		pins, err := w.pinHost(rule, i, SourceOf(rule, host), found)
		if err != nil {
			return nil, fmt.Errorf("rule %d for host %q: %w", i, host, err)
		}
		for _, p := range pins {
			if !w.holds(p.Path) {
				return nil, fmt.Errorf("rule %d for host %q: snapshot %s holds %q, which lies in none of the volumeMounts (%s): mount the volume there, or name the paths to restore in the rule",
					i, host, short(p.ID), p.Path, strings.Join(w.Mounts, ", "))
			}
			p.Hostname = host
			out = append(out, p)
		}
	}
	return out, nil
}

// holds tells whether a path lies in a volume, as far as that is known.
func (w Wish) holds(path string) bool {
	return len(w.Mounts) == 0 || slices.ContainsFunc(w.Mounts, func(m string) bool { return target.Covers(m, path) })
}

func (w Wish) pinHost(rule v1beta1.Rule, index int, source string, found []Found) ([]v1beta1.PinnedSnapshot, error) {
	if len(rule.Snapshots) > 0 {
		return w.pinIDs(rule.Snapshots, index, source, found)
	}
	newest := newestByPath(source, found)
	if len(rule.Paths) == 0 && len(newest) == 0 {
		return nil, fmt.Errorf("the repository holds no snapshot of host %q; it has %s", source, hostsOf(found))
	}
	chosen, err := choose(rule.Paths, index, newest, func(path string) bool { return w.owns(source, path) })
	if missing, ok := errors.AsType[missingError](err); ok {
		return nil, fmt.Errorf("the repository holds no snapshot of path %q of host %q; it has %s", missing.path, source, pathsOf(newest, found))
	}
	if err != nil {
		return nil, err
	}
	filled := newestByPath(source, withFiles(found))
	var out []v1beta1.PinnedSnapshot
	for _, c := range chosen {
		if older, ok := covering(filled, c.path); ok && c.from.Empty {
			return nil, fmt.Errorf("the newest snapshot of path %q of host %q, %s of %s, holds no file, and %s of %s does: "+
				"it was probably taken after the data was lost; name the one that you want in snapshots of the rule",
				c.path, source, short(c.from.ID), day(c.from.Time), short(older.ID), day(older.Time))
		}
		pin, err := pinned(c.from, c.path, source, index)
		if err != nil {
			return nil, instead(err, c, index, newest)
		}
		pin.Remark = c.remark
		out = append(out, pin)
	}
	return out, nil
}

// instead names an older snapshot that holds what the newest one does not: which of them is wanted only
// a person can tell.
func instead(err error, c choice, index int, newest map[string]Found) error {
	older := maps.Clone(newest)
	maps.DeleteFunc(older, func(_ string, f Found) bool { return f.Empty || f.lacks(c.path, index) })
	f, ok := covering(older, c.path)
	if !ok {
		return err
	}
	return lackError{fmt.Sprintf("%s; %s of %s holds it: name the one that you want in snapshots of the rule", err, short(f.ID), day(f.Time))}
}

// withFiles leaves out the snapshots that hold no file.
func withFiles(found []Found) []Found {
	return slices.DeleteFunc(slices.Clone(found), func(f Found) bool { return f.Empty })
}

// short is the form of an ID that people see.
func short(id string) string { return id[:min(8, len(id))] }

// pinIDs pins snapshots by ID or by "latest", which stands for the newest of each path.
func (w Wish) pinIDs(ids []string, index int, source string, found []Found) ([]v1beta1.PinnedSnapshot, error) {
	var out []v1beta1.PinnedSnapshot
	for _, id := range ids {
		if id == "latest" {
			latest, err := w.pinHost(v1beta1.Rule{}, index, source, found)
			if err != nil {
				return nil, err
			}
			out = append(out, latest...)
			continue
		}
		var match []Found
		for _, f := range found {
			if strings.HasPrefix(f.ID, id) && !slices.ContainsFunc(match, func(m Found) bool { return m.ID == f.ID }) {
				match = append(match, f)
			}
		}
		switch len(match) {
		case 0:
			return nil, fmt.Errorf("the repository holds no snapshot %q", id)
		case 1:
			all, err := pinPaths(match[0], index)
			if err != nil {
				return nil, err
			}
			out = append(out, all...)
		default:
			return nil, fmt.Errorf("%d snapshots begin with %q: write more of the ID", len(match), id)
		}
	}
	return out, nil
}

// pinPaths pins every path of a snapshot.
func pinPaths(f Found, index int) ([]v1beta1.PinnedSnapshot, error) {
	var out []v1beta1.PinnedSnapshot
	for _, p := range f.Paths {
		pin, err := pinned(f, p, f.Host, index)
		if err != nil {
			return nil, err
		}
		out = append(out, pin)
	}
	return out, nil
}

func pinned(f Found, path, source string, index int) (v1beta1.PinnedSnapshot, error) {
	if i := slices.IndexFunc(f.Lacks, func(l Lack) bool { return l.Path == path && l.Rule == index }); i >= 0 {
		return v1beta1.PinnedSnapshot{}, lackError{fmt.Sprintf("path %q cannot be restored from snapshot %s of %s: %s",
			path, short(f.ID), day(f.Time), f.Lacks[i].Why)}
	}
	return v1beta1.PinnedSnapshot{ID: f.ID, Path: path, SourceHost: source, Time: metav1.NewTime(f.Time), Rule: int32(index)}, nil //nolint:gosec // an index of a list in an object
}

func hostsOf(found []Found) string {
	var hosts []string
	for _, f := range found {
		if !slices.Contains(hosts, f.Host) {
			hosts = append(hosts, f.Host)
		}
	}
	return list("hosts", hosts)
}

func pathsOf(newest map[string]Found, found []Found) string {
	paths := slices.Collect(maps.Keys(newest))
	if len(paths) == 0 {
		return hostsOf(found)
	}
	return list("paths", paths)
}

func list(what string, names []string) string {
	if len(names) == 0 {
		return "none at all"
	}
	slices.Sort(names)
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	return what + " " + strings.Join(names, ", ")
}
