package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/seed-731df569/stash/test/cluster/internal/gate"
	"github.com/seed-731df569/stash/test/cluster/internal/host"
	"github.com/seed-731df569/stash/test/cluster/internal/pki"
)

// Region is the S3 server's region.
const Region = "us-east-1"

// Names of the S3 host's processes.
const (
	gateProcess   = "gate"
	serverProcess = "versitygw"
)

// Storage is the cluster's S3 server: a host of its own, whose buckets are
// folders. It stands on the same bridge as the cluster and outlives it.
type Storage struct {
	c *Cluster
}

// Storage returns the S3 server. It needs Config.Storage.
func (c *Cluster) Storage() *Storage { return &Storage{c: c} }

// Endpoint is the URL of the server, in plain text.
func (s *Storage) Endpoint() string { return "http://" + s.c.StorageIP() + ":9000" }

// SecureEndpoint is the URL of the server with TLS, whose certificate CAFile
// verifies.
func (s *Storage) SecureEndpoint() string { return "https://" + s.c.StorageIP() + ":9443" }

// CAFile is the path of the certificate authority of SecureEndpoint.
func (s *Storage) CAFile() string { return s.pki().Crt("storage-ca") }

// AccessKey and SecretKey are the root credentials.
func (s *Storage) AccessKey() string { return s.c.AccessKey }

// SecretKey belongs to AccessKey.
func (s *Storage) SecretKey() string { return s.c.SecretKey }

func (s *Storage) pki() pki.Folder    { return pki.Folder{Dir: s.c.path("storage", "pki")} }
func (s *Storage) limitsFile() string { return s.c.path("storage", "limits.json") }

// BucketDir is the folder of a bucket; objects are files in it, by key.
func (s *Storage) BucketDir(bucket string) string { return s.c.path("storage", "data", bucket) }

// CreateBucket makes a bucket; one that exists is no error. It works while
// the server is off, too.
func (s *Storage) CreateBucket(bucket string) error {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`).MatchString(bucket) {
		return fmt.Errorf("create bucket %q: use 3 to 63 lower case letters, digits, dots and dashes", bucket)
	}
	if err := os.MkdirAll(s.BucketDir(bucket), 0o755); err != nil {
		return fmt.Errorf("create bucket: %w", err)
	}
	return nil
}

// DeleteBucket removes a bucket and all that it holds; an absent one is no
// error.
func (s *Storage) DeleteBucket(bucket string) error {
	if err := os.RemoveAll(s.BucketDir(bucket)); err != nil {
		return fmt.Errorf("delete bucket: %w", err)
	}
	return nil
}

// Objects lists the keys of a bucket that begin with prefix, sorted.
func (s *Storage) Objects(bucket, prefix string) ([]string, error) {
	root := s.BucketDir(bucket)
	var keys []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		key, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			// The server keeps unfinished uploads in hidden folders.
			if strings.HasPrefix(entry.Name(), ".sgw") {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list bucket %s: %w", bucket, err)
	}
	return keys, nil
}

// DeleteObjects removes the objects whose keys begin with prefix.
func (s *Storage) DeleteObjects(bucket, prefix string) error {
	keys, err := s.Objects(bucket, prefix)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := os.Remove(filepath.Join(s.BucketDir(bucket), k)); err != nil {
			return fmt.Errorf("delete object %s: %w", k, err)
		}
	}
	return nil
}

// Cut takes the server off the network: packets to it are lost, connections
// hang.
func (s *Storage) Cut(ctx context.Context) error {
	return ip(ctx, "link", "set", s.c.port(StorageHost), "down")
}

// Heal undoes Cut.
func (s *Storage) Heal(ctx context.Context) error {
	return ip(ctx, "link", "set", s.c.port(StorageHost), "up")
}

// Stop kills the server: connections break and new ones are refused.
func (s *Storage) Stop(ctx context.Context) error {
	// The gate first: otherwise it would accept and then hang up.
	return errors.Join(
		s.c.StopProcess(ctx, StorageHost, gateProcess),
		s.c.StopProcess(ctx, StorageHost, serverProcess),
	)
}

// Start undoes Stop and returns when the server answers.
func (s *Storage) Start(ctx context.Context) error {
	if err := errors.Join(
		s.c.StartProcess(ctx, StorageHost, serverProcess),
		s.c.StartProcess(ctx, StorageHost, gateProcess),
	); err != nil {
		return err
	}
	return s.WaitReady(ctx)
}

// Slow limits the server to that many bytes per second, all connections
// together, in each direction. Open connections feel it within 0.1 s.
func (s *Storage) Slow(bytesPerSecond int64) error {
	l := gate.ReadLimits(s.limitsFile())
	l.BytesPerSecond = bytesPerSecond
	return l.Write(s.limitsFile())
}

// Delay adds a time to the way of every byte, in each direction.
func (s *Storage) Delay(d time.Duration) error {
	l := gate.ReadLimits(s.limitsFile())
	l.Delay = d
	return l.Write(s.limitsFile())
}

// Fast undoes Slow and Delay.
func (s *Storage) Fast() error { return gate.Limits{}.Write(s.limitsFile()) }

// WaitReady returns when the server answers, from the machine's point of view.
func (s *Storage) WaitReady(ctx context.Context) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return s.c.until(ctx, 30*time.Second, "the S3 server", s.c.logFile(StorageHost, serverProcess), func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint()+"/health", http.NoBody)
		if err != nil {
			return false, err
		}
		response, err := client.Do(request)
		if err != nil {
			return false, err
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
}

// spec writes the server's configuration and describes its host.
func (s *Storage) spec(p parts) (host.Spec, error) {
	c := s.c
	if err := errors.Join(os.MkdirAll(c.path("storage", "data"), 0o755), s.issue()); err != nil {
		return host.Spec{}, fmt.Errorf("prepare storage: %w", err)
	}
	const server = "127.0.0.1:7070"
	config, err := json.Marshal(gate.Config{
		Plain: c.StorageIP() + ":9000", Secure: c.StorageIP() + ":9443", Server: server,
		CertFile: s.pki().Crt("storage"), KeyFile: s.pki().Key("storage"), LimitsFile: s.limitsFile(),
	})
	if err != nil {
		return host.Spec{}, fmt.Errorf("encode gate config: %w", err)
	}
	configFile := c.path("storage", "gate.json")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		return host.Spec{}, fmt.Errorf("write gate config: %w", err)
	}
	return host.Spec{
		Name: StorageHost, Address: c.StorageIP() + "/24", MAC: c.mac(3), Gateway: c.MachineIP(),
		Routes: c.podRoutes(), LogDir: c.LogDir(), Control: c.control(StorageHost),
		Processes: []host.Process{
			{Name: serverProcess, Args: []string{
				p.versitygw, "--port", server, "--access", c.AccessKey, "--secret", c.SecretKey, "--region", Region,
				"--health", "/health", "--keep-alive", "posix", c.path("storage", "data"),
			}},
			{Name: gateProcess, Args: []string{p.host, "gate", configFile}},
		},
	}, nil
}

func (s *Storage) issue() error {
	ca, err := s.pki().CA("storage-ca")
	if err != nil {
		return err
	}
	return ca.Issue("storage", pki.Subject{CommonName: "s3", Hosts: []string{s.c.StorageIP(), "s3.stash.local"}})
}
