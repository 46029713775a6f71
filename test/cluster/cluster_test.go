package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-731df569/stash/test/cluster"
	"github.com/seed-731df569/stash/test/cluster/internal/archive"
)

// selfTest is a cluster of its own, beside those of the demo and the tests.
var selfTest = cluster.Config{Name: "selftest", Net: 96, Storage: true}

// TestCluster takes one cluster through its life; each step stands on those
// before it.
func TestCluster(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	selfTest.Log = t.Output()
	c := newCluster(t, selfTest)
	if err := c.Down(t.Context()); err != nil { // of a run that was cut off
		t.Fatalf("remove remainders: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Down(context.Background()); err != nil {
			t.Errorf("remove cluster: %v", err)
		}
	})
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"a control plane without nodes comes up", comesUp},
		{"up on a running cluster changes nothing", upAgain},
		{"a second cluster with the same addresses is refused and harms nothing", refusesSecond},
		{"the S3 server breaks and slows as asked", storageBreaks},
		{"up heals a cluster that crashed", healsCrash},
		{"up adds a node that runs pods with volumes", addsNode},
		{"a node comes back from a power cut with its data", powerCycle},
		{"the storage outlives the cluster", storageOutlives},
		{"nothing is left after down", nothingLeft},
	} {
		begin := time.Now()
		if !t.Run(step.name, step.run) {
			return
		}
		t.Logf("%s: %s", step.name, time.Since(begin).Round(100*time.Millisecond))
	}
}

func newCluster(t *testing.T, config cluster.Config) *cluster.Cluster {
	t.Helper()
	c, err := cluster.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Open(selfTest.Name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func kubectl(t *testing.T, c *cluster.Cluster, stdin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Cache().Kubectl(), append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func comesUp(t *testing.T) {
	c := newCluster(t, selfTest)
	must(t, "bring up", c.Up(t.Context()))
	kubectl(t, c, "", "create", "namespace", "kept")
	kubectl(t, c, "", "--namespace", "kept", "wait", "--for=create", "serviceaccount/default", "--timeout=20s")
}

func upAgain(t *testing.T) {
	c := open(t)
	before, err := os.ReadFile(filepath.Join(c.StateDir, "run", "cp.pid"))
	must(t, "read record", err)
	begin := time.Now()
	must(t, "bring up again", c.Up(t.Context()))
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
	after, err := os.ReadFile(filepath.Join(c.StateDir, "run", "cp.pid"))
	must(t, "read record", err)
	if !bytes.Equal(before, after) {
		t.Errorf("the control plane was restarted: %s, then %s", before, after)
	}
}

func refusesSecond(t *testing.T) {
	second := newCluster(t, cluster.Config{Name: "second", Net: selfTest.Net, StateDir: t.TempDir()})
	if err := second.Up(t.Context()); err == nil || !strings.Contains(err.Error(), selfTest.Name) {
		t.Errorf("up: %v", err)
	}
	must(t, "bring down", second.Down(t.Context()))
	must(t, "reach the first", open(t).WaitReady(t.Context()))
}

func storageBreaks(t *testing.T) {
	s, ctx := open(t).Storage(), t.Context()
	must(t, "create bucket", s.CreateBucket("bucket"))
	if err := s.CreateBucket("x"); err == nil {
		t.Error("a bucket name that the server refuses was accepted")
	}
	object := bytes.Repeat([]byte("0123456789"), 30_000)
	must(t, "put", put(ctx, s, "bucket", "folder/object", object))
	keys, err := s.Objects("bucket", "folder/")
	must(t, "list", err)
	if !slices.Equal(keys, []string{"folder/object"}) {
		t.Errorf("objects: %v", keys)
	}

	must(t, "slow down", s.Slow(400_000))
	time.Sleep(150 * time.Millisecond)
	begin := time.Now()
	must(t, "put slowly", put(ctx, s, "bucket", "slow", object))
	if took := time.Since(begin); took < 500*time.Millisecond || took > 3*time.Second {
		t.Errorf("300 kB at 400 kB/s took %s", took)
	}
	must(t, "speed up", s.Fast())

	must(t, "stop", s.Stop(ctx))
	if err := put(ctx, s, "bucket", "refused", nil); !isRefused(err) {
		t.Errorf("put to a stopped server: %v", err)
	}
	must(t, "start", s.Start(ctx))
	must(t, "cut", s.Cut(ctx))
	if err := put(ctx, s, "bucket", "lost", nil); !os.IsTimeout(err) {
		t.Errorf("put to a server that is cut off: %v", err)
	}
	must(t, "heal", s.Heal(ctx))
	must(t, "wait", s.WaitReady(ctx))
	must(t, "delete", s.DeleteObjects("bucket", "slow"))
}

// healsCrash ends a host as nobody should, and names a stranger's process in
// another host's record.
func healsCrash(t *testing.T) {
	c := open(t)
	must(t, "power off", c.PowerOff(t.Context(), cluster.ControlPlane))
	must(t, "stop", c.Storage().Stop(t.Context()))
	record := fmt.Sprintf(`{"PID": %d, "Start": "1", "Boot": "another"}`, os.Getpid())
	must(t, "write record", os.WriteFile(filepath.Join(c.StateDir, "run", "cp.pid"), []byte(record), 0o600))
	if c.Powered(cluster.ControlPlane) {
		t.Error("a stranger's process was taken for the host")
	}
	must(t, "power off", c.PowerOff(t.Context(), cluster.StorageHost))
	must(t, "heal", c.Up(t.Context()))
	kubectl(t, c, "", "get", "namespace", "kept")
}

const podWithVolume = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  containers:
    - name: writer
      image: stash.local/selftest:1
      imagePullPolicy: Never
      command: [sh, -c, "nslookup kubernetes.default.svc.cluster.local && echo start >> /data/starts && exec sleep 10000"]
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  terminationGracePeriodSeconds: 0
`

func addsNode(t *testing.T) {
	config := selfTest
	config.Nodes = 1
	c := newCluster(t, config)
	must(t, "bring up", c.Up(t.Context()))
	file := filepath.Join(t.TempDir(), "image.tar")
	must(t, "write image", archive.Write(file, archive.Image{Ref: "stash.local/selftest:1", Entries: []archive.Entry{
		{Path: "bin/busybox", Source: "/bin/busybox"},
		{Path: "bin/sh", Link: "busybox"},
		{Path: "bin/sleep", Link: "busybox"},
		{Path: "bin/nslookup", Link: "busybox"},
	}}))
	must(t, "load image", c.LoadImage(t.Context(), file))
	kubectl(t, c, podWithVolume, "apply", "-f", "-")
	kubectl(t, c, "", "wait", "pod/writer", "--for=condition=Ready", "--timeout=40s")
	// The pod is ready as it starts; it asks for a name before it writes.
	seen := 0
	for range 60 {
		if seen = starts(t, c); seen > 0 {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	if seen != 1 {
		t.Errorf("%d starts, expected 1", seen)
	}
	out, err := c.InHost(t.Context(), "n1", "ip", "-brief", "address", "show", "eth0").CombinedOutput()
	if err != nil || !strings.Contains(string(out), c.NodeIP(1)) {
		t.Errorf("address in host: %s (%v)", out, err)
	}
}

// starts reads the pod's volume from the node's disk.
func starts(t *testing.T, c *cluster.Cluster) int {
	t.Helper()
	files, err := filepath.Glob(c.DiskPath("n1", filepath.Join(cluster.VolumeDir, "*", "starts")))
	must(t, "find volume", err)
	if len(files) != 1 {
		return 0
	}
	data, err := os.ReadFile(files[0])
	must(t, "read volume", err)
	return strings.Count(string(data), "start")
}

func powerCycle(t *testing.T) {
	c := open(t)
	must(t, "power off", c.PowerOff(t.Context(), "n1"))
	if c.Powered("n1") {
		t.Error("the node has power")
	}
	must(t, "power on", c.PowerOn(t.Context(), "n1"))
	for deadline := time.Now().Add(40 * time.Second); starts(t, c) < 2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the pod did not start again:\n%s", kubectl(t, c, "", "describe", "pod", "writer"))
		}
	}
	must(t, "wait", c.WaitReady(t.Context()))
}

func storageOutlives(t *testing.T) {
	c := open(t)
	must(t, "bring down", c.Down(t.Context(), cluster.KeepStorage))
	must(t, "wait", c.Storage().WaitReady(t.Context()))
	keys, err := c.Storage().Objects("bucket", "")
	must(t, "list", err)
	if len(keys) != 1 {
		t.Errorf("objects: %v", keys)
	}
	if c.Powered(cluster.ControlPlane) || c.Powered("n1") {
		t.Error("hosts are left")
	}
}

func nothingLeft(t *testing.T) {
	c := open(t)
	must(t, "bring down", c.Down(t.Context()))
	for _, pattern := range []string{
		c.StateDir + "*", "/sys/class/net/stash96*", "/sys/fs/cgroup/stash96*", "/sys/fs/cgroup/*/stash96*",
	} {
		found, err := filepath.Glob(pattern)
		must(t, "look", err)
		if len(found) > 0 {
			t.Errorf("left: %v", found)
		}
	}
	files, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	must(t, "look", err)
	for _, f := range append(files, "/proc/self/mountinfo") {
		for _, file := range []string{f, filepath.Join(filepath.Dir(f), "cmdline")} {
			data, err := os.ReadFile(file)
			if err == nil && bytes.Contains(data, []byte(c.StateDir)) {
				t.Errorf("left: %s names %s:\n%s", file, c.StateDir, data)
			}
		}
	}
}

func isRefused(err error) bool {
	return err != nil && strings.Contains(err.Error(), syscall.ECONNREFUSED.Error())
}

// put stores an object as a client of S3 does, within a second or four.
func put(ctx context.Context, s *cluster.Storage, bucket, key string, data []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, s.Endpoint()+"/"+bucket+"/"+key, bytes.NewReader(data))
	if err != nil {
		return err
	}
	sign(request, s, data, time.Now().UTC())
	client := http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if len(data) == 0 {
		client.Timeout = time.Second
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("put %s: %s", key, response.Status)
	}
	return nil
}
