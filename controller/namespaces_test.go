package controller

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
)

// far is a configuration in namespace demo, of a target in prod, with a Repository in vault.
type far struct {
	config *v1beta1.BackupConfiguration
	repo   *v1alpha1.Repository
	demo   *corev1.Namespace
	prod   *corev1.Namespace
	more   []client.Object
}

func newFar() *far {
	f := &far{config: configuration(), repo: repository(), demo: namespace("demo", "shop"), prod: namespace("prod", "shop")}
	f.config.Spec.Target.Ref.Namespace = "prod"
	f.config.Spec.Repository.Namespace = "vault"
	f.config.Spec.RetentionPolicy.KeepLast = 3
	f.config.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	f.repo.Namespace = "vault"
	f.repo.Spec.UsagePolicy = selecting(map[string]string{"team": "shop"})
	return f
}

func namespace(name, team string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": team}}}
}

func selecting(labels map[string]string) *v1alpha1.UsagePolicy {
	return &v1alpha1.UsagePolicy{AllowedNamespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesFromSelector, Selector: &metav1.LabelSelector{MatchLabels: labels}}}
}

// world has everything that the configuration needs to be ready.
func (f *far) world(t *testing.T, more ...client.Object) *World {
	t.Helper()
	secret := keys()
	secret.Namespace = "vault"
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "db", UID: "w1"}}
	set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "data"}}
	objects := append([]client.Object{f.config, f.repo, f.demo, f.prod, secret, set}, f.more...)
	return newWorld(t, interceptor.Funcs{}, append(objects, more...)...)
}

// expanded makes the objects those of a blueprint that admits teams.
func (f *far) expanded(kind, team string) {
	for _, o := range []client.Object{f.config, f.repo} {
		o.SetAnnotations(map[string]string{api.AnnotationExpandedFrom: "StatefulSet/prod/db", api.AnnotationExpandedBlueprint: kind + "/daily"})
	}
	spec := v1beta1.BackupBlueprintSpec{AllowedNamespaces: &selecting(map[string]string{"team": team}).AllowedNamespaces}
	if kind == v1beta1.KindBackupTemplate {
		f.more = append(f.more, &v1beta1.BackupTemplate{ObjectMeta: metav1.ObjectMeta{Name: "daily"}, Spec: spec})
	} else {
		f.more = append(f.more, &v1beta1.BackupBlueprint{ObjectMeta: metav1.ObjectMeta{Name: "daily"}, Spec: spec})
	}
}

func isNone(t *testing.T, where, text string) {
	t.Helper()
	if text != "" {
		t.Errorf("%s: %q", where, text)
	}
}

// Policies, blueprints and labels of namespaces change after the webhook has looked at them: what is
// no longer allowed stops everywhere, and says why.
func TestWhatIsNotAllowedStops(t *testing.T) {
	cases := map[string]struct {
		change func(*far)
		why    string
	}{
		"all is allowed":                      {func(*far) {}, ""},
		"a policy for all":                    {func(f *far) { f.repo.Spec.UsagePolicy.AllowedNamespaces.From = v1alpha1.NamespacesFromAll }, ""},
		"the namespace has other labels":      {func(f *far) { f.demo.Labels = nil }, `Repository "vault/repo" does not admit namespace "demo"`},
		"the target's has":                    {func(f *far) { f.prod.Labels = map[string]string{"team": "lab"} }, `Repository "vault/repo" does not admit namespace "prod"`},
		"the policy names others":             {func(f *far) { f.repo.Spec.UsagePolicy = selecting(map[string]string{"team": "lab"}) }, `does not admit namespace "demo"`},
		"the policy is for its own namespace": {func(f *far) { f.repo.Spec.UsagePolicy.AllowedNamespaces.From = v1alpha1.NamespacesFromSame }, `does not admit namespace "demo"`},
		"the policy is gone":                  {func(f *far) { f.repo.Spec.UsagePolicy = nil }, `does not admit namespace "demo"`},
		"the selector cannot be read":         {func(f *far) { f.repo.Spec.UsagePolicy = selecting(map[string]string{"team": "?"}) }, `does not admit namespace "demo"`},
		"the policy that a blueprint wrote": {func(f *far) {
			f.expanded(v1beta1.KindBackupBlueprint, "shop")
			f.repo.Spec.UsagePolicy = nil
		}, `does not admit namespace "demo": it came from BackupBlueprint "daily", whose spec.usagePolicy.allowedNamespaces (a change of the Repository itself is put back) must be All or`},
		"a blueprint that admits the target":   {func(f *far) { f.expanded(v1beta1.KindBackupBlueprint, "shop") }, ""},
		"a blueprint that does not any more":   {func(f *far) { f.expanded(v1beta1.KindBackupBlueprint, "lab") }, `BackupBlueprint "daily" does not admit namespace "prod"`},
		"a template that does not any more":    {func(f *far) { f.expanded(v1beta1.KindBackupTemplate, "lab") }, `BackupTemplate "daily" does not admit namespace "prod"`},
		"a blueprint that is gone":             {func(f *far) { f.expanded(v1beta1.KindBackupBlueprint, "lab"); f.more = nil }, ""},
		"who strips the annotation is no user": {func(f *far) { f.expanded(v1beta1.KindBackupBlueprint, "lab"); f.config.Annotations = nil }, `BackupBlueprint "daily" does not admit namespace "prod"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFar()
			c.change(f)
			f.stops(t, c.why)
		})
	}
}

func (f *far) stops(t *testing.T, why string) {
	t.Helper()
	says := func(where, text string) {
		t.Helper()
		if why == "" {
			isNone(t, where, text)
		} else if !strings.Contains(text, why) {
			t.Errorf("%s: %q, want %q", where, text, why)
		}
	}
	bs := running()
	bs.Status.Targets[0].Ref = f.config.Spec.Target.Ref
	fresh := newSession(f.config, "shop-2")
	fresh.UID, fresh.CreationTimestamp = "s2", ago(0)
	w := f.world(t, bs, fresh)

	c := read(t, w, "demo", "shop", &v1beta1.BackupConfiguration{})
	if _, err := (&BackupConfigurations{World: w, Schedule: NewSchedule(w)}).update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	found := api.FindCondition(c.Status.Conditions, api.RepositoryFound)
	if ready := c.Status.Phase == v1beta1.BackupInvokerReady; ready != (why == "") {
		t.Errorf("the configuration is %s: %+v", c.Status.Phase, c.Status.Conditions)
	}
	if why != "" {
		says("the condition", found.Message)
		if found.Reason != "NamespaceNotAllowed" {
			t.Errorf("the reason is %s", found.Reason)
		}
	}
	o, err := (&BackupSessions{World: w}).observe(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	says("a session", o.NotReady)

	id := sidecar("db-0", "p0")
	id.Namespace = "prod"
	orders, err := NewAgents(w).Orders(t.Context(), id, func(string) bool { return false })
	if err != nil || (len(orders.Tasks) == 1) != (why == "") {
		t.Errorf("the agent is given %+v, %v", orders.Tasks, err)
	}
	for _, s := range read(t, w, "demo", "shop-1", &v1beta1.BackupSession{}).Status.Targets[0].Stats {
		says("its host", s.Error)
	}
	users, err := w.Users(t.Context(), f.repo)
	if err != nil || (len(users) == 1) != (why == "") {
		t.Errorf("users of the Repository: %v, %v", users, err)
	}
}

// What is read late is no reason to fail; what is not allowed fails before anything is changed, and
// holds back the pods where something was.
func TestARestoreThatIsNotAdmitted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*far, *v1beta1.RestoreSession)
		next   session.Action
		want   session.Kind
	}{
		"it is admitted":              {func(*far, *v1beta1.RestoreSession) {}, session.Wait("", 0), session.KindWait},
		"it is not":                   {func(f *far, _ *v1beta1.RestoreSession) { f.prod.Labels = nil }, session.Action{Kind: session.KindPin}, session.KindFail},
		"it was created a moment ago": {func(f *far, rs *v1beta1.RestoreSession) { f.prod.Labels = nil; rs.CreationTimestamp = ago(time.Second) }, session.Action{Kind: session.KindPin}, session.KindWait},
		"an agent restores already": {func(f *far, rs *v1beta1.RestoreSession) {
			f.prod.Labels = nil
			rs.Status.Assignments[1].Acknowledged = agoP(0)
		}, session.Action{Kind: session.KindLost}, session.KindLost},
		"it is complete":                  {func(f *far, _ *v1beta1.RestoreSession) { f.prod.Labels = nil }, session.Action{Kind: session.KindFinish}, session.KindFinish},
		"the session's own namespace may": {func(f *far, _ *v1beta1.RestoreSession) { f.demo.Labels = nil }, session.Action{Kind: session.KindPin}, session.KindFail},
	} {
		t.Run(name, func(t *testing.T) {
			f, rs := newFar(), farRestore()
			c.change(f, rs)
			w := f.world(t, rs)
			got, err := (&RestoreSessions{World: w}).admitted(t.Context(), &session.Restore{Session: rs, Repository: f.repo}, c.next)
			if err != nil || got.Kind != c.want {
				t.Errorf("%+v, %v", got, err)
			}
			if got.Kind == session.KindFail && !strings.Contains(got.Message, "does not admit") {
				t.Errorf("it says %q", got.Message)
			}
		})
	}
	f, rs := newFar(), farRestore()
	f.prod.Labels = nil
	orders, err := NewAgents(f.world(t, rs)).Orders(t.Context(), farPod("p9"), func(string) bool { return false })
	if err != nil || len(orders.Tasks) > 0 || !strings.Contains(orders.Wait, `does not admit namespace "prod"`) {
		t.Errorf("%+v, %v", orders, err)
	}
	f, rs = newFar(), farRestore()
	f.demo.Labels = nil
	orders, err = NewAgents(f.world(t, rs)).Orders(t.Context(), farPod("p9"), func(string) bool { return false })
	if err != nil || len(orders.Tasks) > 0 || !strings.Contains(orders.Wait, `does not admit namespace "demo"`) {
		t.Errorf("%+v, %v", orders, err)
	}
}

// farRestore is a RestoreSession in namespace demo of a target in prod.
func farRestore() *v1beta1.RestoreSession {
	rs := restoring()
	rs.Spec.Target.Ref.Namespace, rs.Spec.Repository.Namespace = "prod", "vault"
	return rs
}

func farPod(uid string) broker.Identity {
	id := initContainer(uid)
	id.Namespace = "prod"
	return id
}

func TestARestoreFindsItsPodsInAnotherNamespace(t *testing.T) {
	f := newFar()
	w := f.world(t, farRestore())
	has := func(string) bool { return false }
	orders, err := NewAgents(w).Orders(t.Context(), farPod("p9"), has)
	if err != nil || len(orders.Tasks) != 1 {
		t.Fatalf("%+v, %v", orders, err)
	}
	// A pod of the session's own namespace is none of its target.
	stranger := initContainer("p5")
	if orders, err = NewAgents(w).Orders(t.Context(), stranger, has); err != nil || len(orders.Tasks) > 0 || !orders.Finish {
		t.Errorf("a stranger: %+v, %v", orders, err)
	}
	behind := newWorld(t, interceptor.Funcs{})
	behind.Live = w.Client
	if orders, err = NewAgents(behind).Orders(t.Context(), farPod("p9"), has); err != nil || orders.Finish || orders.Wait == "" {
		t.Errorf("before the cache knows it, the pod starts: %+v, %v", orders, err)
	}
}

// The namespace that is closed is the target's, and it is opened again when the session is gone.
func TestARestoreClosesTheNamespaceOfItsTarget(t *testing.T) {
	rs, f := farRestore(), newFar()
	rs.Status = v1beta1.RestoreSessionStatus{Phase: v1beta1.RestorePending, Conditions: rs.Status.Conditions}
	w := f.world(t, rs)
	closed := func() string {
		var names []string
		for _, name := range []string{"demo", "prod"} {
			if _, ok := read(t, w, "", name, &corev1.Namespace{}).Labels[api.LabelRestoring]; ok {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	ended := 0
	r := &RestoreSessions{World: w, Ended: func() { ended++ }}
	stored := read(t, w, "demo", "back", &v1beta1.RestoreSession{})
	if _, err := r.act(t.Context(), &session.Restore{Session: stored, Repository: f.repo}, session.Action{Kind: session.KindClose}); err != nil {
		t.Fatal(err)
	}
	if closed() != "prod" {
		t.Fatalf("closed are %q", closed())
	}
	stored = read(t, w, "demo", "back", &v1beta1.RestoreSession{})
	if stored.Status.Hash != mutators.HashRestore("q1") {
		t.Error("nobody knows whose restore it is")
	}
	if err := r.openNamespaces(t.Context()); err != nil || closed() != "prod" {
		t.Fatalf("open in the middle of a restore: %q, %v", closed(), err)
	}
	if err := w.Delete(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(stored)}); err != nil || closed() != "" || ended != 1 {
		t.Errorf("closed after it is gone: %q, %v", closed(), err)
	}
}

// Naming a Repository of others claims nothing at its place.
func TestAStrangerClaimsNoPlace(t *testing.T) {
	f := newFar()
	own := configuration()
	own.Namespace, own.Name, own.UID, own.Spec.Repository.Name = "vault", "own", "c2", "repo"
	for _, want := range []int{1, 0} {
		f.repo.ResourceVersion, f.config.ResourceVersion = "", ""
		if want == 0 {
			f.repo.Spec.UsagePolicy = nil
		}
		facts, err := f.world(t).Facts(t.Context(), own)
		if err != nil || len(facts.Configurations) != want {
			t.Errorf("%d neighbours, want %d: %v", len(facts.Configurations), want, err)
		}
	}
}

func TestFactsNameTheNamespacesThatAreReached(t *testing.T) {
	f := newFar()
	w := f.world(t, farRestore())
	for name, o := range map[string]client.Object{"configuration": f.config, "restore": farRestore(), "Repository": f.repo} {
		facts, err := w.Facts(t.Context(), o)
		if err != nil || facts.Namespaces["demo"]["team"] != "shop" || facts.Namespaces["prod"]["team"] != "shop" || len(facts.Namespaces) != 2 {
			t.Errorf("%s: %v, %v", name, facts.Namespaces, err)
		}
	}
	// One that the cache does not have yet is not taken for one without labels.
	cold := newWorld(t, interceptor.Funcs{})
	cold.Live = w.Client
	if got, err := cold.namespaceLabels(t.Context(), "demo", "gone"); err != nil || len(got) != 1 || got["demo"]["team"] != "shop" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestChangesReachTheConfigurationsThatTheyConcern(t *testing.T) {
	f := newFar()
	f.expanded(v1beta1.KindBackupBlueprint, "shop")
	w := f.world(t)
	is := func(what string, got []client.ObjectKey, want int) {
		t.Helper()
		if len(got) != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	is("its namespace", w.configsReaching(t.Context(), f.demo), 1)
	is("its target's namespace", w.configsReaching(t.Context(), f.prod), 1)
	is("another namespace", w.configsReaching(t.Context(), namespace("lab", "")), 0)
	daily := &metav1.ObjectMeta{Name: "daily"}
	is("its blueprint", w.configsOfBlueprint(v1beta1.KindBackupBlueprint)(t.Context(), &v1beta1.BackupBlueprint{ObjectMeta: *daily}), 1)
	is("a template of that name", w.configsOfBlueprint(v1beta1.KindBackupTemplate)(t.Context(), &v1beta1.BackupTemplate{ObjectMeta: *daily}), 0)

	p := relabelled()
	for name, c := range map[string]struct {
		labels map[string]string
		want   bool
	}{
		"the same":             {map[string]string{"team": "shop"}, false},
		"ours":                 {map[string]string{"team": "shop", api.LabelRestoring: "true"}, false},
		"another value":        {map[string]string{"team": "lab"}, true},
		"one more":             {map[string]string{"team": "shop", "a": "b"}, true},
		"one less":             {nil, true},
		"another of that kind": {map[string]string{"teem": "shop"}, true},
	} {
		now := namespace("demo", "shop")
		now.Labels = c.labels
		if got := p.Update(event.UpdateEvent{ObjectOld: f.demo, ObjectNew: now}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if p.Create(event.CreateEvent{Object: f.demo}) {
		t.Error("each namespace has all configurations looked at when the operator starts")
	}
}
