package session

import (
	"slices"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// NodeHosts are the hosts of a DaemonSet under restore: the nodes that it has pods on, and those that
// snapshots were chosen for, as long as they exist: between a pod and the one that replaces it a node has
// none.
func NodeHosts(bound []string, pinned []v1beta1.PinnedSnapshot, exists func(host string) bool) []string {
	hosts := slices.Clone(bound)
	for _, p := range pinned {
		if !slices.Contains(hosts, p.Hostname) && exists(p.Hostname) {
			hosts = append(hosts, p.Hostname)
		}
	}
	slices.Sort(hosts)
	return hosts
}

// total is how many hosts are to be restored. Of a DaemonSet some may not be known by name yet, unless the
// rules name them.
func (o *Restore) total() int {
	if o.Nodes && !o.Some {
		return max(len(o.HostNames), int(o.Wanted))
	}
	return len(o.HostNames)
}

// stuck names a pod that was to have ended and did not: its node is off, or cannot stop it.
func (o *Restore) stuck(now time.Time) (Pod, bool) {
	pods := slices.Clone(o.OldPods)
	for _, p := range o.Pods {
		pods = append(pods, p)
	}
	slices.SortFunc(pods, func(a, b Pod) int { return compareHosts(a.Name, b.Name) })
	i := slices.IndexFunc(pods, func(p Pod) bool {
		return p.Ending && !p.Dead && !p.Ends.IsZero() && now.Sub(p.Ends) > o.Limits.Accept
	})
	if i < 0 {
		return Pod{}, false
	}
	return pods[i], true
}
