package metrics_test

import (
	"context"
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/metrics"
)

var update = flag.Bool("update", false, "rewrite the golden")

func at(s int64) metav1.Time { return metav1.NewTime(time.Unix(s, 0)) }

// objects are one of each kind, with a success behind them.
func objects() metrics.Objects {
	created, healthy, hosts := at(1000), true, int32(1)
	target := v1beta1.TargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "shop"}
	c := v1beta1.BackupConfiguration{}
	c.Namespace, c.Name, c.CreationTimestamp = "demo", "shop", created
	c.Spec.Schedule, c.Spec.Repository.Name = "@hourly", "repo"
	c.Spec.Target = &v1beta1.BackupTarget{Ref: target}
	c.Status.Conditions = []api.Condition{{Type: api.RepositoryFound, Status: metav1.ConditionTrue}}
	success := at(2000)
	c.Status.LastSuccessTime = &success
	c.Status.LastSession = &v1beta1.LastSession{Name: "shop-1", Phase: v1beta1.BackupSessionSucceeded, Duration: "12.5s"}
	c.Status.Hosts = []v1beta1.HostResult{{
		Hostname: "host-0", Phase: v1beta1.HostBackupSucceeded, Duration: "10s",
		Snapshots: []v1beta1.SnapshotStats{
			{TotalBytes: 100, UploadedBytes: 10, ProcessingTime: "1:05", FileStats: v1beta1.FileStats{TotalFiles: new(int64(5)), NewFiles: new(int64(1)), ModifiedFiles: new(int64(1)), UnmodifiedFiles: new(int64(3))}},
			{TotalBytes: 50, UploadedBytes: 5, ProcessingTime: "0:02"},
		},
	}}
	bs := v1beta1.BackupSession{}
	bs.Namespace, bs.Name, bs.CreationTimestamp, bs.Status.Phase = "demo", "shop-1", at(2000), v1beta1.BackupSessionSucceeded
	rs := v1beta1.RestoreSession{}
	rs.Namespace, rs.Name, rs.CreationTimestamp = "demo", "back", at(3000)
	rs.Spec.Repository.Name, rs.Spec.Target = "repo", &v1beta1.RestoreTarget{Ref: target}
	rs.Status.Phase, rs.Status.SessionDuration, rs.Status.TotalHosts = v1beta1.RestoreFailed, "1m0s", &hosts
	rs.Status.Stats = []v1beta1.HostRestoreStats{{Hostname: "host-0", Phase: v1beta1.HostRestoreFailed, Duration: "50s"}}
	repo := v1alpha1.Repository{}
	repo.Namespace, repo.Name, repo.CreationTimestamp = "demo", "repo", at(500)
	repo.Spec.Backend.S3 = &v1alpha1.S3Spec{Bucket: "b", Prefix: "p"}
	repo.Status.Integrity, repo.Status.LastListTime = &healthy, &success
	repo.Status.TotalBytes, repo.Status.SnapshotCount, repo.Status.SnapshotsRemovedOnLastCleanup = 15, 3, 2
	repo.Status.References = []api.ObjectReference{
		{Kind: v1beta1.KindBackupConfiguration, Namespace: "demo", Name: "shop"},
		{Kind: v1beta1.KindBackupConfiguration, Namespace: "other", Name: "logs"},
		{Kind: v1beta1.KindBackupConfiguration, Namespace: "other", Name: "shop"}, // says no more than the first
	}
	unused := v1alpha1.Repository{}
	unused.Namespace, unused.Name, unused.CreationTimestamp = "demo", "unused", at(600)
	unused.Spec.Backend.Local = &v1alpha1.LocalSpec{MountPath: "/backups"}
	unused.Status.LastListTime = &success
	policy, unseen := v1beta1.ProtectionPolicy{}, v1beta1.ProtectionPolicy{}
	policy.Name, policy.Spec.Action, unseen.Name = "production", v1beta1.ActionDeny, "unseen"
	policy.Status = v1beta1.ProtectionPolicyStatus{ObservedGeneration: 1, Selected: 6, Protected: 3, Unprotected: 2, Exempt: 1}
	return metrics.Objects{
		Policies:       []v1beta1.ProtectionPolicy{policy, unseen},
		Configurations: []v1beta1.BackupConfiguration{c}, Backups: []v1beta1.BackupSession{bs},
		Restores: []v1beta1.RestoreSession{rs}, Repositories: []v1alpha1.Repository{repo, unused},
	}
}

func collector(o metrics.Objects, leads bool) *metrics.Status {
	return metrics.NewStatus(func(context.Context) (metrics.Objects, bool) { return o, leads })
}

func gather(t *testing.T, o metrics.Objects) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collector(o, true))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{DisableCompression: true}).
		ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	return w.Body.String()
}

func TestBothFamiliesComeFromStatus(t *testing.T) {
	const golden = "testdata/status.prom"
	got := gather(t, objects())
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

func TestAReplicaThatDoesNotLeadSendsNothing(t *testing.T) {
	if n := testutil.CollectAndCount(collector(objects(), false)); n != 0 {
		t.Errorf("sent %d metrics", n)
	}
}

// One metric that is there twice would make the whole scrape fail, and with it all alerts.
func TestAStatusThatRepeatsItselfDoesNotFailTheScrape(t *testing.T) {
	o := objects()
	c, rs := &o.Configurations[0].Status, &o.Restores[0].Status
	c.Conditions = append(c.Conditions, api.Condition{Type: api.RepositoryFound, Status: metav1.ConditionTrue})
	c.Hosts = append(c.Hosts, c.Hosts[0])
	rs.Stats = append(rs.Stats, rs.Stats[0])
	if d := cmp.Diff(gather(t, objects()), gather(t, o)); d != "" {
		t.Errorf("repeated entries changed what is said:\n%s", d)
	}
}

func TestEmptyObjectsAreFine(t *testing.T) {
	gather(t, metrics.Objects{
		Configurations: make([]v1beta1.BackupConfiguration, 1), Backups: make([]v1beta1.BackupSession, 1),
		Restores: make([]v1beta1.RestoreSession, 1), Repositories: make([]v1alpha1.Repository, 1),
	})
}

// The names are those that dashboards and alerts know: what the linter has against them is known.
func TestNamesAreClean(t *testing.T) {
	problems, err := testutil.CollectAndLint(collector(objects(), true))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]bool{}
	for _, p := range problems {
		texts[p.Text] = true
	}
	want := []string{
		`non-counter metrics should not have "_total" suffix`,
		`non-histogram and non-summary metrics should not have "_count" suffix`,
	}
	if got := slices.Sorted(maps.Keys(texts)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	run := prometheus.NewPedanticRegistry()
	r := metrics.NewRuntime(func() int64 { return 3 }, metrics.Known{Refusals: []string{"Denied"}, Servers: []string{"broker"}, Closed: []string{"Total"}})
	if err := r.Register(run); err != nil {
		t.Fatal(err)
	}
	r.Observe("pods", "allow", "Injected", .001)
	r.Lag(-time.Second)
	r.Refused("Denied")
	r.Closed("broker", "Total")
	if problems, err := testutil.GatherAndLint(run); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
