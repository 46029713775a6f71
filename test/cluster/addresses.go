package cluster

import "fmt"

// Every cluster has the address range 10.NET.0.0/16 for itself:
//
//	10.NET.0.1       the machine, on the cluster's bridge
//	10.NET.0.2       control plane
//	10.NET.0.3       S3 server
//	10.NET.0.11 …19  nodes n1 … n9
//	10.NET.I.0/24    pods of node nI
//	10.NET.240.0/20  Services, .1 the API server, .10 DNS
const maxNodes = 9

func (c Config) address(last int) string { return fmt.Sprintf("10.%d.0.%d", c.Net, last) }

// MachineIP is the machine's own address on the cluster's bridge: where the
// API server reaches a webhook that runs outside of the cluster.
func (c Config) MachineIP() string { return c.address(1) }

// ControlPlaneIP is the address of the control plane's host.
func (c Config) ControlPlaneIP() string { return c.address(2) }

// StorageIP is the address of the S3 server's host.
func (c Config) StorageIP() string { return c.address(3) }

// NodeIP is the address of node number i, from 1.
func (c Config) NodeIP(i int) string { return c.address(10 + i) }

// Server is the URL of the API server.
func (c Config) Server() string { return "https://" + c.ControlPlaneIP() + ":6443" }

func (c Config) podRange(i int) string    { return fmt.Sprintf("10.%d.%d.0/24", c.Net, i) }
func (c Config) clusterRange() string     { return fmt.Sprintf("10.%d.0.0/16", c.Net) }
func (c Config) serviceRange() string     { return fmt.Sprintf("10.%d.240.0/20", c.Net) }
func (c Config) apiServiceIP() string     { return fmt.Sprintf("10.%d.240.1", c.Net) }
func (c Config) dnsServiceIP() string     { return fmt.Sprintf("10.%d.240.10", c.Net) }
func (c Config) bridge() string           { return fmt.Sprintf("stash%d", c.Net) }
func (c Config) port(host string) string  { return c.bridge() + "-" + host }
func (c Config) group(host string) string { return c.bridge() + "-" + host }

// mac derives a fixed hardware address from a host's IPv4 address.
func (c Config) mac(last int) string { return fmt.Sprintf("02:00:0a:%02x:00:%02x", c.Net, last) }

// hostNumber returns the last octet of a host's address.
func (c Config) hostNumber(host string) (int, error) {
	switch host {
	case ControlPlane:
		return 2, nil
	case StorageHost:
		if c.Storage {
			return 3, nil
		}
	default:
		for i := 1; i <= c.Nodes; i++ {
			if host == nodeName(i) {
				return 10 + i, nil
			}
		}
	}
	return 0, fmt.Errorf("find host %q: cluster %s has %v", host, c.Name, c.Hosts())
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i) }
