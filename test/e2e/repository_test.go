package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"

	"github.com/seed-731df569/stash/restic"
)

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// restic runs restic on the machine, on the repository at a prefix of the test's bucket, past the
// gate: what is checked with it does not depend on Stash.
func (s *site) restic(prefix string, args ...string) (string, error) {
	storage := suite.cluster.Storage()
	cmd := exec.CommandContext(s.Context(), suite.restic, append([]string{"--no-cache", "--no-lock"}, args...)...)
	cmd.Env = append(os.Environ(),
		"RESTIC_REPOSITORY=s3:"+storage.Endpoint()+"/"+s.bucket+"/"+prefix, "RESTIC_PASSWORD="+s.password,
		"AWS_ACCESS_KEY_ID="+storage.AccessKey(), "AWS_SECRET_ACCESS_KEY="+storage.SecretKey(),
	)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// snapshots lists the snapshots of the repository at a prefix, oldest first.
func (s *site) snapshots(prefix string) []restic.Snapshot {
	s.Helper()
	out, err := s.restic(prefix, "snapshots", "--json")
	if err != nil {
		s.Fatal(err)
	}
	var all []restic.Snapshot
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		s.Fatal(err)
	}
	return all
}

// unlocked waits until nobody holds a lock in any repository of the test's bucket.
func (s *site) unlocked() {
	s.Helper()
	s.eventually(long, "the repository is not locked", func(context.Context) error {
		keys, err := suite.cluster.Storage().Objects(s.bucket, "")
		if err != nil {
			return err
		}
		for _, k := range keys {
			if strings.Contains(k, "/locks/") || strings.HasPrefix(k, "locks/") {
				return notYet("lock %s", k)
			}
		}
		return nil
	})
}

// healthy fails the test unless restic finds the repository at a prefix whole, data included.
func (s *site) healthy(prefix string) {
	s.Helper()
	if out, err := s.restic(prefix, "check", "--read-data"); err != nil {
		s.Errorf("restic check: %v\n%s", err, out)
	}
}
