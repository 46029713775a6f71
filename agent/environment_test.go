package agent_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// What a user writes into runtimeSettings.container.env is the environment of the agent.
func TestTheEnvironmentThatResticGetsIsAnAllowList(t *testing.T) {
	for name, value := range map[string]string{
		// Allowed.
		"RESTIC_COMPRESSION": "max", "RESTIC_PACK_SIZE": "64", "RESTIC_READ_CONCURRENCY": "4",
		"GOMAXPROCS": "2", "GOGC": "50", "GOMEMLIMIT": "100MiB", "HTTPS_PROXY": "http://proxy", "AWS_ROLE_ARN": "arn",
		// Not: runs a program, names a file, another repository or another place.
		"RESTIC_PASSWORD_COMMAND": "id", "RESTIC_PASSWORD_FILE": "/f", "RESTIC_REPOSITORY_FILE": "/f", "RESTIC_CACERT": "/f",
		"RESTIC_TLS_CLIENT_CERT": "/f", "RESTIC_CACHE_DIR": "/f", "RESTIC_FROM_REPOSITORY": "/f", "RESTIC_KEY_HINT": "k",
		"RESTIC_HOST": "h", "RESTIC_FEATURES": "device-id-for-hardlinks", "SSL_CERT_FILE": "/f", "SSL_CERT_DIR": "/f", "TZ": "/f",
		"GODEBUG": "x509sha1=1", "GOTRACEBACK": "crash", "LD_PRELOAD": "/f", "MY_OWN": "x",
		"RESTIC_REPOSITORY": "of-the-user", "RESTIC_PASSWORD": "of-the-user", "RESTIC_PROGRESS_FPS": "60",
	} {
		t.Setenv(name, value)
	}
	common := map[string]string{
		"RESTIC_COMPRESSION": "max", "RESTIC_PACK_SIZE": "64", "RESTIC_READ_CONCURRENCY": "4",
		"GOMAXPROCS": "2", "GOGC": "50", "GOMEMLIMIT": "100MiB", "HTTPS_PROXY": "http://proxy",
		"RESTIC_REPOSITORY": "/repository", "RESTIC_PASSWORD": password, "RESTIC_PROGRESS_FPS": "1",
	}
	for name, c := range map[string]struct{ backend, more map[string]string }{
		"a pod may have an identity of its own":          {nil, map[string]string{"AWS_ROLE_ARN": "arn"}},
		"a key in the Secret leaves the pod's identity":  {map[string]string{"AWS_ACCESS_KEY_ID": "key"}, map[string]string{"AWS_ACCESS_KEY_ID": "key"}},
		"what the backend sets wins over what users set": {map[string]string{"AWS_ACCESS_KEY_ID": "key", "GOGC": "9"}, map[string]string{"AWS_ACCESS_KEY_ID": "key", "GOGC": "9"}},
	} {
		t.Run(name, func(t *testing.T) {
			want := maps.Clone(common)
			maps.Copy(want, c.more)
			backend := map[string]string{"RESTIC_PASSWORD": password}
			maps.Copy(backend, c.backend)
			if diff := cmp.Diff(want, environmentOfRestic(t, backend)); diff != "" {
				t.Errorf("restic's environment (-want +got):\n%s", diff)
			}
		})
	}
}

// environmentOfRestic returns the variables of a restic that an agent started, less those that the
// test's program sets.
func environmentOfRestic(t *testing.T, backend map[string]string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "environment")
	program := filepath.Join(dir, "restic")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nenv > "+file+"\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := newBroker(t)
	c := configure(t, b, protocol.RoleSidecar)
	c.ResticBinary = program
	start(t, c)
	task := protocol.Task{
		ID: "a", Repository: restic.Repository{URL: "/repository", Env: backend},
		Backup: &protocol.Backup{Host: "host-0", Paths: []string{tree(t, map[string]string{"a": "1"})}},
	}
	if result := b.stream().do(task); result.Error == "" {
		t.Error("the program that stands in for restic fails, and the result does not")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !slices.Contains([]string{"PATH", "HOME", "TMPDIR", "PWD", "SHLVL", "_", "OLDPWD"}, name) {
			got[name] = value
		}
	}
	return got
}
