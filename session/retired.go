package session

import (
	"slices"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// Retired are the paths that a host once had a complete backup of and that its last success did not have:
// retention goes on with them, and keeps the newest complete snapshot of each. What any other
// configuration of the same target or place backs up, or once did, is left to that one.
func Retired(h v1beta1.HostResult, c *v1beta1.BackupConfiguration, others []*v1beta1.BackupConfiguration) []string {
	var paths []string
	for _, s := range h.Complete {
		now := slices.ContainsFunc(h.Snapshots, func(n v1beta1.SnapshotStats) bool { return n.Path == s.Path })
		if !now && !slices.ContainsFunc(others, func(o *v1beta1.BackupConfiguration) bool { return owns(o, c, h.Hostname, s.Path) }) {
			paths = append(paths, s.Path)
		}
	}
	return paths
}

// owns tells whether another configuration has, had or is to have snapshots of a path of a host.
func owns(o, c *v1beta1.BackupConfiguration, host, path string) bool {
	theirs, _ := o.Spec.Shipped()
	if a, b := theirs.Target, c.Spec.Target; a != nil && b != nil && slices.Contains(a.Paths, path) &&
		target.Same(a.Ref, o.Namespace, b.Ref, c.Namespace) {
		return true
	}
	return slices.ContainsFunc(o.Status.Hosts, func(h v1beta1.HostResult) bool {
		return h.Hostname == host && (slices.ContainsFunc(h.Snapshots, func(s v1beta1.SnapshotStats) bool { return s.Path == path }) ||
			slices.ContainsFunc(h.Complete, func(s v1beta1.CompleteSnapshot) bool { return s.Path == path }))
	})
}
