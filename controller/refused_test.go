package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

func invalid() error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "BackupSession"}, "shop-1", field.ErrorList{field.TooLong(field.NewPath("status"), "", 5)})
}

// refusing makes the API server refuse the writes of a status that breaks a rule.
func refusing(err error, breaks func(client.Object) bool) interceptor.Funcs {
	return interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
		if breaks(obj) {
			return err
		}
		return c.SubResource(sub).Update(ctx, obj, opts...)
	}}
}

// logged counts the lines of a log.
type logged struct {
	slog.Handler
	lines int
}

func (*logged) Enabled(context.Context, slog.Level) bool { return true }

func (l *logged) Handle(context.Context, slog.Record) error {
	l.lines++
	return nil
}

func TestWhatIsRefusedForEver(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"it breaks the schema":          {invalid(), true},
		"as said by who called":         {fmt.Errorf("write status: %w", invalid()), true},
		"the request is too large":      {apierrors.NewRequestEntityTooLargeError("limit is 3145728"), true},
		"it is too large for etcd":      {apierrors.NewInternalError(errors.New("etcdserver: request is too large")), true},
		"it is too large on the way":    {apierrors.NewInternalError(errors.New("trying to send message larger than max (9 vs. 5)")), true},
		"somebody else was faster":      {apierrors.NewConflict(schema.GroupResource{}, "x", nil), false},
		"the API server has other work": {apierrors.NewTooManyRequests("later", 1), false},
		"etcd is away":                  {apierrors.NewInternalError(errors.New("etcdserver: leader changed")), false},
		"nobody answers":                {errors.New("connection refused"), false},
		"nothing is wrong":              {nil, false},
	} {
		if got := refused(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// An agent repeats what is not stored: what never will be must not be asked for again.
func TestAResultThatIsRefusedBecomesAFailure(t *testing.T) {
	hasSnapshots := func(o client.Object) bool {
		bs, ok := o.(*v1beta1.BackupSession)
		return ok && len(bs.Status.Targets[0].Stats) > 0 && len(bs.Status.Targets[0].Stats[0].Snapshots) > 0
	}
	w := newWorld(t, refusing(invalid(), hasSnapshots), configuration(), running())
	log := &logged{}
	w.Log = slog.New(log)
	if err := NewAgents(w).Result(t.Context(), sidecar("db-0", "p0"), success("s1/host-0/1")); err != nil {
		t.Fatal(err)
	}
	st := read(t, w, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0]
	if len(st.Stats) != 1 || st.Stats[0].Phase != v1beta1.HostBackupFailed || len(st.Assignments) != 1 {
		t.Fatalf("%+v", st)
	}
	for _, text := range []string{"refused", "Too long", "01234567"} {
		if !strings.Contains(st.Stats[0].Error, text) {
			t.Errorf("%q does not say %q", st.Stats[0].Error, text)
		}
	}
	if log.lines != 1 {
		t.Errorf("it was logged %d times", log.lines)
	}
}

func TestARestoreThatIsRefusedBecomesAFailure(t *testing.T) {
	w := newWorld(t, refusing(invalid(), func(o client.Object) bool {
		rs, ok := o.(*v1beta1.RestoreSession)
		return ok && len(rs.Status.Restored) > 0
	}), restoring())
	if err := NewAgents(w).Result(t.Context(), initContainer("p9"), protocol.Result{ID: "q1/host-0/p9/2"}); err != nil {
		t.Fatal(err)
	}
	st := read(t, w, "demo", "back", &v1beta1.RestoreSession{}).Status
	if len(st.Stats) != 1 || st.Stats[0].Phase != v1beta1.HostRestoreFailed || !strings.Contains(st.Stats[0].Error, "refused") {
		t.Errorf("%+v", st.Stats)
	}
}

// Where not even the failure can be stored an agent is let go; a worker is not, since its work would
// begin anew.
func TestAFailureThatIsRefused(t *testing.T) {
	always := refusing(invalid(), func(client.Object) bool { return true })
	w := newWorld(t, always, configuration(), running())
	log := &logged{}
	w.Log = slog.New(log)
	if err := NewAgents(w).Result(t.Context(), sidecar("db-0", "p0"), success("s1/host-0/1")); err != nil || log.lines != 2 {
		t.Errorf("an agent repeats it: %v, %d lines", err, log.lines)
	}
	repo := repository()
	repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: v1alpha1.OperationList, PodUID: "p1"}
	g := NewAgents(newWorld(t, always, repo))
	if err := g.Result(t.Context(), worker(), protocol.Result{ID: "w1"}); err == nil {
		t.Error("a worker begins anew")
	}
}

func TestAListThatIsRefusedIsAFailureOfTheOperation(t *testing.T) {
	repo := repository()
	repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: v1alpha1.OperationList, PodUID: "p1"}
	w := newWorld(t, refusing(invalid(), func(o client.Object) bool {
		r, ok := o.(*v1alpha1.Repository)
		return ok && len(r.Status.Snapshots) > 0
	}), repo)
	found := &protocol.Maintained{Snapshots: []restic.Snapshot{{ID: "a"}}}
	if err := NewAgents(w).Result(t.Context(), worker(), protocol.Result{ID: "w1", Maintained: found}); err != nil {
		t.Fatal(err)
	}
	if st := read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status; st.Work != nil || st.Failures != 1 {
		t.Errorf("%+v", st)
	}
}

// What agents say is bounded before it goes to a status.
func TestTextsOfAgentsAreBoundedInAStatus(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	w := newWorld(t, interceptor.Funcs{}, configuration(), running())
	r := success("s1/host-0/1")
	r.Error, r.Finished = long, noon().AddDate(9000, 0, 0)
	r.Backups[0].Path, r.Backups[0].Summary.SnapshotID, r.Backups[0].Unreadable, r.Backups[0].UnreadableCount = long, long, []string{long}, 1
	if err := NewAgents(w).Result(t.Context(), sidecar("db-0", "p0"), r); err != nil {
		t.Fatal(err)
	}
	s := read(t, w, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0].Stats[0]
	if len(s.Error) > maxErrorLength+9 || len(s.Snapshots[0].Path) > protocol.MaxPath || len(s.Snapshots[0].ID) > 64 {
		t.Errorf("%d bytes of error, %d of path, %d of ID", len(s.Error), len(s.Snapshots[0].Path), len(s.Snapshots[0].ID))
	}
	if got := bounded(r, noon()); !got.Finished.Equal(noon()) {
		t.Errorf("it ends at %s", got.Finished)
	}
	st := &v1alpha1.RepositoryStatus{}
	strange := restic.Snapshot{ID: "a", Hostname: long, Time: noon()}
	for range 3000 {
		strange.Paths, strange.Tags = append(strange.Paths, long[:9000]), append(strange.Tags, long[:9000])
	}
	m := protocol.Result{Maintained: &protocol.Maintained{Snapshots: []restic.Snapshot{strange}}}.Clipped().Maintained
	recordList(st, m, metav1.NewTime(noon()))
	if got := st.Snapshots[0]; len(got.Hostname) > protocol.MaxName || len(got.Paths) != 10 || len(got.Tags) != 10 || len(got.Paths[0]) > 1024 || !strings.Contains(got.Paths[9], "3000 in all") {
		t.Errorf("%d bytes of host, %d paths, %d tags", len(got.Hostname), len(got.Paths), len(got.Tags))
	}
}
