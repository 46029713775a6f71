package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Names of the hosts that are no nodes.
const (
	ControlPlane = "cp"
	StorageHost  = "s3"
)

// Config describes a cluster. Config{Name: "test"} is a control plane without
// nodes and storage.
type Config struct {
	// Name tells clusters apart: lower case letters, digits and dashes.
	Name string
	// Net is the second octet of the cluster's addresses (10.Net.0.0/16). By
	// default it follows from the name, see defaultNet.
	Net int
	// Nodes is how many nodes there are, 0 to 9.
	Nodes int
	// Storage adds the S3 server. It needs no nodes.
	Storage bool
	// Scheduler starts the scheduler in a cluster without nodes.
	Scheduler bool
	// APIServerArgs are further flags of the API server. They win over ours.
	APIServerArgs []string `json:",omitempty"`
	// ControllerManagerArgs are further flags of the controller manager.
	ControllerManagerArgs []string `json:",omitempty"`
	// AccessKey and SecretKey are the S3 server's root credentials; without
	// them they are texts that stand nowhere else, so that tests can look for them.
	AccessKey, SecretKey string
	// StateDir is the cluster's folder; without it, StateRoot()/Name.
	StateDir string
	// CacheDir is what clusters share; without it, CacheRoot().
	CacheDir string
	// Log receives a line for each step; without it they are dropped.
	Log io.Writer `json:"-"`
}

// CacheRoot is the folder for programs and images: STASH_CACHE, or "stash" in
// the user's cache folder.
func CacheRoot() string {
	if dir := os.Getenv("STASH_CACHE"); dir != "" {
		return dir
	}
	return filepath.Join(xdg("XDG_CACHE_HOME", ".cache"), "stash")
}

// StateRoot is the folder for the state of clusters: STASH_STATE, or "stash" in
// the user's state folder.
func StateRoot() string {
	if dir := os.Getenv("STASH_STATE"); dir != "" {
		return dir
	}
	return filepath.Join(xdg("XDG_STATE_HOME", ".local/state"), "stash")
}

func xdg(variable, below string) string {
	if dir := os.Getenv(variable); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/root" // only root can run clusters
	}
	return filepath.Join(home, below)
}

// defaultNet is 97 for "demo", 98 for "test", and one of 100 to 199 for any
// other name, always the same. Two names may have the same: Up says so then.
func defaultNet(name string) int {
	if net, known := map[string]int{"demo": 97, "test": 98}[name]; known {
		return net
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return 100 + int(h.Sum32()%100)
}

func (c Config) withDefaults() Config {
	if c.Net == 0 {
		c.Net = defaultNet(c.Name)
	}
	if c.AccessKey == "" {
		c.AccessKey = "AKSTASHTEST0123456789"
	}
	if c.SecretKey == "" {
		c.SecretKey = "stash/test+SecretAccessKey0123456789"
	}
	if c.CacheDir == "" {
		c.CacheDir = CacheRoot()
	}
	if c.StateDir == "" {
		c.StateDir = filepath.Join(StateRoot(), c.Name)
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`).MatchString(c.Name) {
		errs = append(errs, fmt.Errorf("name %q: use lower case letters, digits and dashes", c.Name))
	}
	if c.Net < 1 || c.Net > 254 {
		errs = append(errs, fmt.Errorf("net %d: use 1 to 254, the second octet of 10.x.0.0/16, other than that of any other cluster", c.Net))
	}
	if c.Nodes < 0 || c.Nodes > maxNodes {
		errs = append(errs, fmt.Errorf("%d nodes: use 0 to %d", c.Nodes, maxNodes))
	}
	for _, dir := range []string{c.StateDir, c.CacheDir} {
		if !filepath.IsAbs(dir) {
			errs = append(errs, fmt.Errorf("folder %q: use an absolute path", dir))
		}
	}
	// The path of a Unix socket has at most 107 bytes.
	if socket := c.control(ControlPlane); len(socket) > 107 {
		errs = append(errs, fmt.Errorf("folder %q: too long a path for sockets; choose a shorter one with STASH_STATE", c.StateDir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("check cluster description: %w", err)
	}
	return nil
}

// Hosts lists the cluster's hosts, the control plane first.
func (c Config) Hosts() []string {
	hosts := []string{ControlPlane}
	if c.Storage {
		hosts = append(hosts, StorageHost)
	}
	return append(hosts, c.nodes()...)
}

func (c Config) nodes() []string {
	names := make([]string, c.Nodes)
	for i := range names {
		names[i] = nodeName(i + 1)
	}
	return names
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (c Config) Kubeconfig() string { return c.path("kubeconfig") }

// LogDir is where every process of the cluster writes its log, as
// HOST-PROCESS.log.
func (c Config) LogDir() string { return c.path("log") }

// DiskPath returns where the machine sees a path of a node's disk, for example
// that of a hostPath volume.
func (c Config) DiskPath(node, path string) string {
	return filepath.Join(c.path("disks", node), path)
}

func (c Config) path(elem ...string) string {
	return filepath.Join(append([]string{c.StateDir}, elem...)...)
}

func (c Config) runDir() string             { return c.path("run") }
func (c Config) record(host string) string  { return c.path("run", host+".pid") }
func (c Config) control(host string) string { return c.path("run", host+".sock") }

func (c Config) save() error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode cluster description: %w", err)
	}
	if err := os.WriteFile(c.path("cluster.json"), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("save cluster description: %w", err)
	}
	return nil
}

// loadConfig reads the description of an existing cluster.
func loadConfig(stateDir string) (Config, error) {
	var c Config
	data, err := os.ReadFile(filepath.Join(stateDir, "cluster.json"))
	if err != nil {
		return c, fmt.Errorf("read cluster description: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("decode cluster description in %s: %w", stateDir, err)
	}
	return c, nil
}

func (c Config) logf(format string, args ...any) {
	line := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	_, _ = fmt.Fprintln(c.Log, line) // progress is for people only
}
