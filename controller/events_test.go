package controller

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/rollout"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

func deployment(labels map[string]string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", UID: "d1"},
		Spec:       appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}},
	}
}

func TestAStampThatIsGoneIsTold(t *testing.T) {
	both := map[string]string{api.LabelInject: "a", api.LabelRestore: "b"}
	for name, c := range map[string]struct {
		before, now map[string]string
		want        []string
	}{
		"of a backup":                   {both, map[string]string{api.LabelRestore: "b"}, []string{"Sidecar Deletion Succeeded"}},
		"of a restore":                  {both, map[string]string{api.LabelInject: "a"}, []string{"Init-Container Deletion Succeeded"}},
		"of both":                       {both, nil, []string{"Sidecar Deletion Succeeded", "Init-Container Deletion Succeeded"}},
		"not where it is another one":   {both, map[string]string{api.LabelInject: "c", api.LabelRestore: "d"}, nil},
		"not where there was none":      {nil, both, nil},
		"not where nothing was changed": {both, both, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{})
			w.removals(target.Deployment()).Update(t.Context(), event.UpdateEvent{ObjectOld: deployment(c.before), ObjectNew: deployment(c.now)}, nil)
			if d := cmp.Diff(c.want, reasons(t, w)); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
		})
	}
}

func TestAStampThatCannotBeWrittenIsTold(t *testing.T) {
	refused := apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "shop", nil)
	gone := apierrors.NewNotFound(schema.GroupResource{Group: "apps", Resource: "deployments"}, "shop")
	hash := "a"
	for name, c := range map[string]struct {
		err    error
		labels map[string]*string
		want   []string
	}{
		"that asks for the sidecar":          {refused, map[string]*string{api.LabelInject: &hash}, []string{"Sidecar Injection Failed"}},
		"that is taken back":                 {refused, map[string]*string{api.LabelInject: nil}, []string{"Sidecar Deletion Failed"}},
		"but not of a restore, which tells":  {refused, map[string]*string{api.LabelRestore: &hash}, nil},
		"but not of a workload that is gone": {gone, map[string]*string{api.LabelInject: &hash}, nil},
		"but not where it was written":       {nil, map[string]*string{api.LabelInject: &hash}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
				return c.err
			}})
			if err := w.labelTemplate(t.Context(), deployment(nil), c.labels); (err == nil) != (c.err == nil) {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, reasons(t, w)); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
		})
	}
}

// A restore whose stamp is refused says so itself: its workload may be in another namespace.
func TestARestoreTellsThatItsInitContainerCannotBeInjected(t *testing.T) {
	refused := apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "statefulsets"}, "db", nil)
	rs := &v1beta1.RestoreSession{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "back", UID: "b1"}}
	rs.Spec.Target = &v1beta1.RestoreTarget{Ref: configuration().Spec.Target.Ref}
	rs.Status.Hash = "h"
	w := newWorld(t, interceptor.Funcs{Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
		return refused
	}}, rs, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}})
	r := &RestoreSessions{World: w, Ended: func() {}}
	_, err := r.act(t.Context(), &session.Restore{Session: rs}, session.Action{Kind: session.KindStamp})
	if d := cmp.Diff([]string{"Init-Container Injection Failed"}, reasons(t, w)); err == nil || d != "" {
		t.Errorf("error %v, events (-want +got):\n%s", err, d)
	}
}

// Who waits for a sidecar that a quota or Pod Security refuses must be able to read why.
func TestAnInjectionTellsHowItEnded(t *testing.T) {
	refused := rollout.Action{Reason: rollout.ReasonFailed, Message: "a pod with the sidecar would be refused: exceeded quota"}
	for name, c := range map[string]struct {
		action   rollout.Action
		problems []mutators.Problem
		want     []string
	}{
		"with the sidecar":       {rollout.Action{OK: true, Reason: rollout.ReasonSucceeded}, nil, []string{"Sidecar Injection Succeeded"}},
		"with a refused dry run": {refused, nil, []string{"Sidecar Injection Failed"}},
		"with a configuration that we refuse": {
			rollout.Action{OK: true, Reason: rollout.ReasonSucceeded},
			[]mutators.Problem{{Configuration: "demo/shop", Reason: mutators.ProblemNoVolume, Message: "no such volume"}},
			[]string{"Sidecar Injection Failed"},
		},
		"not at all while it goes on":       {rollout.Action{Reason: rollout.ReasonRollingOut}, nil, nil},
		"not at all while others go before": {rollout.Action{Reason: rollout.ReasonOthers}, nil, nil},
		"not at all without pods":           {rollout.Action{OK: true, Reason: rollout.ReasonNoPods}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			config := configuration()
			w := newWorld(t, interceptor.Funcs{}, config)
			r := &Workloads{World: w, Kind: target.StatefulSet()}
			for range 2 {
				stored := read(t, w, config.Namespace, config.Name, &v1beta1.BackupConfiguration{})
				if err := r.report(t.Context(), []v1beta1.BackupConfiguration{*stored}, c.problems, c.action); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(c.want, reasons(t, w)); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
		})
	}
}

// A workload is scaled, rolled out, scaled down and up: one event for each time that its pods got the
// sidecar.
func TestPodsThatComeAndGoAreNoNews(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, configuration())
	r := &Workloads{World: w, Kind: target.StatefulSet()}
	for _, a := range []rollout.Action{
		{OK: true, Reason: rollout.ReasonNoPods, Message: "there are no pods"},
		{OK: true, Reason: rollout.ReasonRollingOut, Message: "1 of 3"},
		{OK: true, Reason: rollout.ReasonSucceeded, Message: "3 of 3"}, // told
		{OK: true, Reason: rollout.ReasonSucceeded, Message: "2 of 2"},
		{OK: true, Reason: rollout.ReasonPods, Message: "2 of 3; the others later"},
		{OK: true, Reason: rollout.ReasonSucceeded, Message: "3 of 3"},
		{OK: true, Reason: rollout.ReasonNoPods, Message: "there are no pods"},
		{OK: true, Reason: rollout.ReasonSucceeded, Message: "1 of 1"}, // told
	} {
		stored := read(t, w, "demo", "shop", &v1beta1.BackupConfiguration{})
		if err := r.report(t.Context(), []v1beta1.BackupConfiguration{*stored}, nil, a); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"Sidecar Injection Succeeded", "Sidecar Injection Succeeded"}, reasons(t, w)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// A Deployment that is deleted takes its configuration along, and that its sessions, at any moment.
func TestAStatusOfWhatIsGoneIsNotMissed(t *testing.T) {
	gone := interceptor.Funcs{SubResourceUpdate: func(_ context.Context, _ client.Client, _ string, o client.Object, _ ...client.SubResourceUpdateOption) error {
		return apierrors.NewNotFound(schema.GroupResource{Group: api.Group, Resource: "objects"}, o.GetName())
	}}
	c, repo, bs := configuration(), repository(), newSession(configuration(), "shop-2")
	bs.UID = "s2"
	repo.Spec.Backend.StorageSecretName = "none"
	w := newWorld(t, gone, c, repo, bs, restoreNamed("r", 0))
	for name, r := range map[string]reconcile.Reconciler{
		"shop": &BackupConfigurations{World: w, Schedule: NewSchedule(w)}, "repo": &Repositories{World: w},
		"shop-2": &BackupSessions{World: w}, "r": &RestoreSessions{World: w, Ended: func() {}},
	} {
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "demo", Name: name}}); err != nil {
			t.Errorf("%T: %v", r, err)
		}
	}
}
