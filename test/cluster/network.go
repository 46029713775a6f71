package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ip runs one command of iproute2.
func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func linkExists(name string) bool {
	_, err := os.Stat("/sys/class/net/" + name)
	return err == nil
}

// ensureBridge makes the cluster's bridge with the machine's address on it.
func (c *Cluster) ensureBridge(ctx context.Context) error {
	bridge := c.bridge()
	if linkExists(bridge) {
		if stranger := c.stranger(); stranger != "" {
			return fmt.Errorf("make bridge %s: it belongs to %q; take that down, or choose another Net than %d", bridge, stranger, c.Net)
		}
		return nil
	}
	if taken := overlapping(c.clusterRange()); taken != "" {
		return fmt.Errorf("make bridge %s: this machine uses %s already; choose another Net than %d", bridge, taken, c.Net)
	}
	warnFiltered(c)
	// Without a fixed address, the bridge takes that of one of its ports, and
	// every host would lose the machine whenever another host goes.
	for _, args := range [][]string{
		{"link", "add", bridge, "address", c.mac(1), "type", "bridge"},
		{"link", "set", bridge, "alias", c.owner()},
		{"addr", "add", c.MachineIP() + "/24", "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if err := ip(ctx, args...); err != nil {
			return err
		}
	}
	for i := 1; i <= c.Nodes; i++ {
		if err := ip(ctx, "route", "replace", c.podRange(i), "via", c.NodeIP(i)); err != nil {
			return err
		}
	}
	return nil
}

// owner marks the bridge, so that two clusters never mistake it for theirs.
func (c *Cluster) owner() string { return "stash cluster " + c.Name + " in " + c.StateDir }

// stranger names the owner of the cluster's bridge when that is not the
// cluster: two were given the same Net. Nothing of that Net may be removed then.
func (c *Cluster) stranger() string {
	alias, err := os.ReadFile("/sys/class/net/" + c.bridge() + "/ifalias")
	if err != nil {
		return "" // no bridge
	}
	owner := strings.TrimSpace(string(alias))
	if owner == c.owner() {
		return ""
	}
	return owner
}

// overlapping returns an address of the machine within the range.
func overlapping(cidr string) string {
	_, wanted, err := net.ParseCIDR(cidr)
	if err != nil {
		return cidr
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "" // then "ip" will complain
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && (wanted.Contains(n.IP) || n.Contains(wanted.IP)) && n.IP.IsPrivate() {
			return n.String()
		}
	}
	return ""
}

// warnFiltered tells of a machine whose firewall sees bridged packets, as
// Docker sets it: it may drop what hosts send each other.
func warnFiltered(c *Cluster) {
	data, err := os.ReadFile("/proc/sys/net/bridge/bridge-nf-call-iptables")
	if err != nil || strings.TrimSpace(string(data)) != "1" {
		return
	}
	rules, err := exec.Command("iptables", "-S", "FORWARD").Output()
	if err == nil && strings.HasPrefix(string(rules), "-P FORWARD DROP") {
		c.logf("note: this machine's firewall drops forwarded packets, bridged ones included; if hosts do not reach each other, allow them: iptables -I FORWARD -i %[1]s -o %[1]s -j ACCEPT", c.bridge())
	}
}

// plug connects a host, by the number of its process 1, to the bridge.
func (c *Cluster) plug(ctx context.Context, name string, pid int) error {
	port := c.port(name)
	if err := unplug(ctx, port); err != nil {
		return err
	}
	// The far end has a name of its own until it is in the host.
	far := "sx" + strconv.Itoa(pid)
	for _, args := range [][]string{
		{"link", "add", port, "type", "veth", "peer", "name", far},
		{"link", "set", far, "netns", strconv.Itoa(pid), "name", "eth0"},
		{"link", "set", port, "master", c.bridge(), "up"},
	} {
		if err := ip(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func unplug(ctx context.Context, port string) error {
	if !linkExists(port) {
		return nil
	}
	// It may go by itself with its host in the meantime.
	if err := ip(ctx, "link", "del", port); err != nil && linkExists(port) {
		return err
	}
	return nil
}

// removeNetwork removes the bridge and everything on it.
func (c *Cluster) removeNetwork(ctx context.Context) error {
	ports, err := filepath.Glob("/sys/class/net/" + c.bridge() + "-*")
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	var errs []error
	for _, p := range ports {
		errs = append(errs, unplug(ctx, filepath.Base(p)))
	}
	return errors.Join(append(errs, unplug(ctx, c.bridge()))...)
}
