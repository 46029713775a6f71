package session_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

func TestHostsWithoutARuleAreLeftAloneWhereTheyAreApart(t *testing.T) {
	two := []string{"host-0", "host-1"}
	rule := func(hosts ...string) v1beta1.Rule { return v1beta1.Rule{TargetHosts: hosts} }
	for name, c := range map[string]struct {
		rules  []v1beta1.Rule
		shared bool
		pinned []string
		alone  []string
		says   string
	}{
		"one of two":                     {[]v1beta1.Rule{rule("host-1")}, false, []string{"host-1"}, []string{"host-0"}, "1 snapshots are chosen for 1 hosts; left alone, since no rule is for them: host-0"},
		"none, since each has a rule":    {[]v1beta1.Rule{rule("host-1"), rule("host-0")}, false, two, nil, "chosen for 2 hosts"},
		"none, since a rule is for all":  {[]v1beta1.Rule{rule("host-1"), rule()}, false, two, nil, "chosen for 2 hosts"},
		"none, since they share volumes": {[]v1beta1.Rule{rule("host-1")}, true, nil, nil, `no rule is for host "host-0", which cannot be left alone: only claims of volumeClaimTemplates`},
		"none, for a name that is wrong": {[]v1beta1.Rule{rule("host-1", "host-2")}, false, nil, nil, `rule 0 is for host "host-2", which the target does not have; it has hosts host-0, host-1: name one of them, or host "host-0" would be left alone`},
		"none, for a host that is to be": {[]v1beta1.Rule{rule("host-0", "host-1", "host-2")}, false, two, nil, "chosen for 2 hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			var found []session.Found
			for _, h := range two {
				found = append(found, session.Found{ID: "of-" + h, Host: h, Paths: []string{"/data"}, Time: noon()})
			}
			st := &v1beta1.RestoreSessionStatus{TotalHosts: new(int32(2))}
			session.Choose(st, session.Wish{Rules: c.rules, Apart: !c.shared}, two, found, 1, metav1.NewTime(noon()))
			var pinned []string
			for _, p := range st.Pinned {
				pinned = append(pinned, p.Hostname)
			}
			if !slices.Equal(pinned, c.pinned) || !slices.Equal(st.LeftAlone, c.alone) {
				t.Errorf("chosen for %v, left alone %v", pinned, st.LeftAlone)
			}
			if got := api.FindCondition(st.Conditions, api.SnapshotsPinned); !strings.Contains(got.Message, c.says) || session.Searching(*st) {
				t.Errorf("it says %+v", got)
			}
		})
	}
}

// A host that was waited for since it shared a volume, and is left alone now that it does not.
func TestALateHostThatIsLeftAloneIsNotFailed(t *testing.T) {
	wish := session.Wish{Rules: []v1beta1.Rule{{TargetHosts: []string{"host-0"}}}}
	st := &v1beta1.RestoreSessionStatus{TotalHosts: new(int32(1))}
	found := []session.Found{{ID: "a", Host: "host-0", Paths: []string{"/data"}, Time: noon()}}
	session.Choose(st, wish, []string{"host-0"}, found, 1, metav1.NewTime(noon()))
	session.Appear(st, "host-1", 1, metav1.NewTime(noon()))
	wish.Apart = true
	if failed := session.Choose(st, wish, []string{"host-0", "host-1"}, found, 1, metav1.NewTime(noon())); len(failed) > 0 || len(st.Stats) > 0 {
		t.Errorf("failed are %+v, results %+v", failed, st.Stats)
	}
}

func TestHostsThatAreHeldBackUntilARestoreIsDeleted(t *testing.T) {
	restore := func(name string, phase v1beta1.RestorePhase, alone []string, stats ...v1beta1.HostRestoreStats) v1beta1.RestoreSession {
		rs := v1beta1.RestoreSession{}
		rs.Name, rs.Status.Phase, rs.Status.Hash, rs.Status.LeftAlone, rs.Status.Stats = name, phase, "h", alone, stats
		rs.Status.Pinned = []v1beta1.PinnedSnapshot{{Hostname: "host-0"}, {Hostname: "host-1"}}
		return rs
	}
	good := func(host string) v1beta1.HostRestoreStats {
		return v1beta1.HostRestoreStats{Hostname: host, Phase: v1beta1.HostRestoreSucceeded}
	}
	late := v1beta1.HostRestoreStats{Hostname: "host-2", Phase: v1beta1.HostRestoreFailed}
	failed := restore("first", v1beta1.RestoreFailed, nil, good("host-0"), late)
	unbegun, deleted := failed, failed
	unbegun.Status.Hash, deleted.DeletionTimestamp = "", &metav1.Time{Time: noon()}
	one := restore("second", v1beta1.RestoreSucceeded, []string{"host-0", "host-2"}, good("host-1"))
	one.Status.Pinned = one.Status.Pinned[1:]
	for name, c := range map[string]struct {
		restores []v1beta1.RestoreSession
		want     map[string]string
	}{
		"those that were not restored":      {[]v1beta1.RestoreSession{failed}, map[string]string{"host-1": "first", "host-2": "first"}},
		"none before it began":              {[]v1beta1.RestoreSession{unbegun}, map[string]string{}},
		"none where it is deleted":          {[]v1beta1.RestoreSession{deleted}, map[string]string{}},
		"none after all were restored":      {[]v1beta1.RestoreSession{failed, restore("all", v1beta1.RestoreSucceeded, nil, good("host-0"), good("host-1"))}, map[string]string{}},
		"others than the one that was then": {[]v1beta1.RestoreSession{failed, one}, map[string]string{"host-2": "first"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := session.Unrestored(c.restores); !maps.Equal(got, c.want) {
				t.Errorf("held are %v", got)
			}
		})
	}
}
