package e2e_test

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

func retention() []scenario {
	return []scenario{
		{"keepLast is kept", keepLastIsKept},
		{"an emptied volume never costs the last good snapshot", emptiedVolumeKeepsGood},
		{"a history of one session is kept", historyIsKept},
	}
}

// kept waits until retention has seen a session, and returns the IDs that are left in the
// repository, oldest first.
func (s *site) kept(session *v1beta1.BackupSession) []string {
	s.Helper()
	s.eventually(long, "retention has seen "+session.Name, func(ctx context.Context) error {
		bs := &v1beta1.BackupSession{}
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(session), bs); err != nil {
			return err
		}
		if !api.IsTrue(bs.Status.Conditions, api.RetentionPolicyApplied) {
			return notYet("conditions: %s", conditions(bs.Status.Conditions))
		}
		return nil
	})
	var ids []string
	for _, snap := range s.snapshots("repo") {
		ids = append(ids, snap.ID)
	}
	return ids
}

func snapshotOf(bs *v1beta1.BackupSession) string {
	return bs.Status.Targets[0].Stats[0].Snapshots[0].ID
}

func keepLastIsKept(s *site) {
	s.byHand(vars{"Retention": "{name: two, keepLast: 2, prune: true}"})
	dir := s.claimDir("web")
	var taken []string
	for i := range 4 {
		s.planted(s.sub(dir, i), uint64(i))
		bs := s.backup("conf")
		taken = append(taken, snapshotOf(bs))
		want := taken[max(0, len(taken)-2):]
		if got := s.kept(bs); !slices.Equal(got, want) {
			s.Errorf("after %d backups snapshots %v are left, not %v", i+1, got, want)
		}
	}
	s.unlocked()
	s.healthy("repo")
}

func emptiedVolumeKeepsGood(s *site) {
	s.byHand(vars{"Retention": "{name: one, keepLast: 1, prune: true}"})
	dir := s.claimDir("web")
	want := s.planted(dir, 1)
	good := snapshotOf(s.backup("conf"))
	s.wiped(dir)
	for range 3 {
		bs := s.backup("conf")
		if ids := s.kept(bs); !slices.Contains(ids, good) {
			s.Fatalf("the good snapshot %s is gone; left are %v", good, ids)
		} else if len(ids) > 2 {
			s.Errorf("more than the policy's and the good one are left: %v", ids)
		}
	}
	s.restore("back", "repo", workload("Deployment", "web"), v1beta1.Rule{Snapshots: []string{good[:8]}})
	s.restored("back")
	s.same("the volume", want, dir)
	s.unlocked()
}

func historyIsKept(s *site) {
	s.byHand(vars{"History": 1})
	first, second := s.backup("conf"), s.backup("conf")
	s.eventually(soon, "one session is left", func(ctx context.Context) error {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(first), first)
		if err == nil {
			return notYet("%s is there", first.Name)
		}
		return client.IgnoreNotFound(err)
	})
	get(s, second.Name, &v1beta1.BackupSession{})
	c := get(s, "conf", &v1beta1.BackupConfiguration{})
	if len(c.Status.Hosts) != 1 || c.Status.Hosts[0].Session != second.Name || c.Status.LastSuccessTime == nil {
		s.Errorf("the configuration does not remember: %+v", c.Status)
	}
}
