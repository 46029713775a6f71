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
		if gaveUp(h, s.Path) && !owned(others, c, h.Hostname, s.Path) {
			paths = append(paths, s.Path)
		}
	}
	return paths
}

// HandOver forgets in a configuration's status the paths that it gave up and that another configuration of
// the same place has taken over: that one may be deleted, and its snapshots stay then.
func HandOver(c *v1beta1.BackupConfiguration, others []*v1beta1.BackupConfiguration) {
	for i := range c.Status.Hosts {
		h := &c.Status.Hosts[i]
		h.Complete = slices.DeleteFunc(h.Complete, func(s v1beta1.CompleteSnapshot) bool {
			return gaveUp(*h, s.Path) && owned(others, c, h.Hostname, s.Path)
		})
	}
}

// GaveUp tells whether a configuration had a complete backup of a path that it does not back up any more.
func GaveUp(c *v1beta1.BackupConfiguration) bool {
	return slices.ContainsFunc(c.Status.Hosts, func(h v1beta1.HostResult) bool {
		return slices.ContainsFunc(h.Complete, func(s v1beta1.CompleteSnapshot) bool { return gaveUp(h, s.Path) })
	})
}

// Has lists the hosts and paths that a configuration is known to have snapshots of.
func Has(c *v1beta1.BackupConfiguration) []string {
	var out []string
	for _, h := range c.Status.Hosts {
		for _, s := range h.Snapshots {
			out = append(out, h.Hostname+":"+s.Path)
		}
		for _, s := range h.Complete {
			out = append(out, h.Hostname+":"+s.Path)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// gaveUp tells whether the last success of a host was without a path.
func gaveUp(h v1beta1.HostResult, path string) bool {
	return !slices.ContainsFunc(h.Snapshots, func(s v1beta1.SnapshotStats) bool { return s.Path == path })
}

func owned(others []*v1beta1.BackupConfiguration, c *v1beta1.BackupConfiguration, host, path string) bool {
	return slices.ContainsFunc(others, func(o *v1beta1.BackupConfiguration) bool { return owns(o, c, host, path) })
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
