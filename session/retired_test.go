package session_test

import (
	"slices"
	"testing"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

func TestRetentionReachesPathsThatAreNotBackedUpAnyMore(t *testing.T) {
	config := func(kind string, paths ...string) *v1beta1.BackupConfiguration {
		c := &v1beta1.BackupConfiguration{}
		c.Spec.Target = &v1beta1.BackupTarget{Paths: paths}
		c.Spec.Target.Ref.APIVersion, c.Spec.Target.Ref.Kind, c.Spec.Target.Ref.Name = "apps/v1", kind, "shop"
		return c
	}
	with := func(c *v1beta1.BackupConfiguration, hosts ...v1beta1.HostResult) *v1beta1.BackupConfiguration {
		c.Status.Hosts = hosts
		return c
	}
	result := func(host string, now, complete []string) v1beta1.HostResult {
		h := v1beta1.HostResult{Hostname: host}
		for _, p := range now {
			h.Snapshots = append(h.Snapshots, v1beta1.SnapshotStats{Path: p})
		}
		for _, p := range complete {
			h.Complete = append(h.Complete, v1beta1.CompleteSnapshot{Path: p})
		}
		return h
	}
	both := []string{"/data", "/old"}
	for name, c := range map[string]struct {
		host   v1beta1.HostResult
		others []*v1beta1.BackupConfiguration
		want   []string
	}{
		"none was given up":               {result("host-0", both, both), nil, nil},
		"one was given up":                {result("host-0", both[:1], both), nil, both[1:]},
		"the host never succeeded":        {result("host-0", nil, nil), nil, nil},
		"a status of before complete":     {result("host-0", both[:1], nil), nil, nil},
		"another configuration has it":    {result("host-0", both[:1], both), []*v1beta1.BackupConfiguration{with(config("Deployment"), result("host-0", both[1:], nil))}, nil},
		"another one had it":              {result("host-0", both[:1], both), []*v1beta1.BackupConfiguration{with(config("Deployment"), result("host-0", nil, both[1:]))}, nil},
		"another one is to have it":       {result("host-0", both[:1], both), []*v1beta1.BackupConfiguration{config("Deployment", "/old")}, nil},
		"another host's is another one's": {result("host-0", both[:1], both), []*v1beta1.BackupConfiguration{with(config("StatefulSet", "/old"), result("host-1", both[1:], both))}, both[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			if got := session.Retired(c.host, config("Deployment", "/data"), c.others); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
