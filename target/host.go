package target

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/seed-731df569/stash/api"
)

// MaxHosts is how many hosts a target may have: the results of all are kept in one object, and how many
// replicas a workload wants is a number that anybody writes.
const MaxHosts = 1000

// hostPrefix begins the host names of targets with several hosts.
const hostPrefix = "host"

// single returns the host of a target that has one.
func single(alias string) string {
	if alias == "" {
		return api.DefaultHost
	}
	return alias
}

// ordinalHost returns the host of the pod with an ordinal.
func ordinalHost(alias string, ordinal int32) string {
	if alias == "" {
		alias = hostPrefix
	}
	return alias + "-" + strconv.Itoa(int(ordinal))
}

// nodeHost returns the host of the pod on a node.
func nodeHost(alias, node string) string {
	if alias == "" {
		return node
	}
	return alias + "-" + node
}

// Ordinal returns the ordinal at the end of a StatefulSet pod's name.
func Ordinal(podName string) (int32, error) {
	i := strings.LastIndexByte(podName, '-')
	text := podName[i+1:]
	n, err := strconv.ParseInt(text, 10, 32)
	// The spelling must be the canonical one: "web-007" and "web-+7" are no pods of a StatefulSet.
	if i <= 0 || err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("pod %q has no ordinal at the end of its name", podName)
	}
	return int32(n), nil
}

// HostsOverlap tells whether two targets of these kinds and aliases may have a host in common, so
// that snapshots of one could be taken for those of the other. Node names are taken to be no
// ordinals.
func HostsOverlap(a Kind, aAlias string, b Kind, bAlias string) bool {
	if nodes := DaemonSet().GVK; (a.GVK == nodes) != (b.GVK == nodes) {
		return false
	} else if a.GVK == nodes {
		return aAlias == bAlias
	}
	ordinals := StatefulSet().GVK
	switch {
	case a.GVK == ordinals && b.GVK == ordinals:
		return ordinalHost(aAlias, 0) == ordinalHost(bAlias, 0)
	case a.GVK == ordinals:
		return isOrdinalHost(single(bAlias), aAlias)
	case b.GVK == ordinals:
		return isOrdinalHost(single(aAlias), bAlias)
	}
	return single(aAlias) == single(bAlias)
}

// isOrdinalHost tells whether a StatefulSet with the alias can have that host.
func isOrdinalHost(host, alias string) bool {
	n, err := Ordinal(host)
	return err == nil && host == ordinalHost(alias, n)
}
