// Package host runs one simulated machine: a process tree with pid, mount,
// network, IPC and host name spaces of its own. Process 1 of the tree mounts
// the host's disk, configures its network and supervises its daemons, as
// systemd would. Killing process 1 is a power cut: the kernel ends every other
// process of the host with it and drops its mounts and interfaces at once,
// while the folder that is its disk stays.
//
// The package knows nothing of Kubernetes; package cluster describes hosts
// with Spec and starts them with Start.
package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Spec describes a host completely: starting the same Spec again is a boot of
// the same machine.
type Spec struct {
	// Name is the host name, for example "n1".
	Name string
	// Address is the address of eth0 with its prefix length.
	Address string
	// MAC is the hardware address of eth0. It is fixed, so that neighbours
	// reach a rebooted host without asking for it again.
	MAC string
	// Gateway is the default route.
	Gateway string
	// Routes are further routes, destination to gateway.
	Routes map[string]string
	// Forward makes the host route packets for others (its pods).
	Forward bool
	// Disk is the folder that becomes the host's root file system; empty
	// means that the host sees the machine's.
	Disk string
	// Files are written below the root at every boot, path to content.
	Files map[string]string
	// Shared are folders of the machine that the host sees at the same path.
	Shared []string
	// LogDir receives a log file for each process.
	LogDir string
	// Control is the path of the host's control socket.
	Control string
	// Processes are started in this order.
	Processes []Process
}

// Process is a daemon or a step of the boot.
type Process struct {
	// Name identifies the process within its host and names its log file.
	Name string
	// Args is the command line; Args[0] is looked up in PATH.
	Args []string
	// Dir is the working directory.
	Dir string
	// Once marks a step: later processes start when it has succeeded. It is
	// tried again until it does. Other processes are restarted when they end.
	Once bool
	// After is a URL that has to answer with status 200 before the process
	// starts. CAFile verifies its certificate.
	After, CAFile string
}

// Log returns the path of the log file of a process of the host.
func (s Spec) Log(process string) string {
	return fmt.Sprintf("%s/%s-%s.log", s.LogDir, s.Name, process)
}

// restartDelay is the pause before an ended process is started again.
const restartDelay = 500 * time.Millisecond

func (s Spec) encode() ([]byte, error) {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode host %s: %w", s.Name, err)
	}
	return data, nil
}

func (s Spec) write(path string) error {
	data, err := s.encode()
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func readSpec(path string) (Spec, error) {
	var s Spec
	data, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("read host description: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("decode host description %s: %w", path, err)
	}
	return s, nil
}

// Same tells whether a host was last started as described.
func Same(runDir string, s Spec) bool {
	last, err := os.ReadFile(filepath.Join(runDir, s.Name+".json"))
	if err != nil {
		return false
	}
	now, err := s.encode()
	return err == nil && bytes.Equal(last, now)
}
