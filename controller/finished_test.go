package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/webhook"
)

// labelled is a Deployment whose template carries a restore label.
func labelled(name, hash string) *appsv1.Deployment {
	d := &appsv1.Deployment{}
	d.Namespace, d.Name = "demo", name
	d.Spec.Template.Labels = map[string]string{api.LabelRestore: hash}
	return d
}

// ofPhase is a RestoreSession in a phase, created some hours ago.
func ofPhase(uid string, phase v1beta1.RestorePhase, hours int) *v1beta1.RestoreSession {
	rs := restoring()
	rs.Name, rs.UID, rs.CreationTimestamp, rs.Status.Phase = uid, types.UID(uid), ago(time.Duration(hours)*time.Hour), phase
	return rs
}

func TestFinishedRestores(t *testing.T) {
	hash := mutators.HashRestore
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name, pod.Labels = "demo", "db-0", map[string]string{api.LabelRestore: hash("done")}
	w := newWorld(
		t, interceptor.Funcs{}, pod,
		ofPhase("done", v1beta1.RestoreSucceeded, 1), ofPhase("runs", v1beta1.RestoreRunning, 1), ofPhase("failed", v1beta1.RestoreFailed, 1), ofPhase("nobody", v1beta1.RestoreSucceeded, 1),
		labelled("done", hash("done")), labelled("runs", hash("runs")), labelled("failed", hash("failed")), labelled("gone", hash("gone")),
		labelled("of-strangers", "a-label"), labelled("longer", hash("x")+"00"), labelled("in-capitals", "ABCDEF0123456789"), labelled("none", ""),
	)
	want := []string{hash("done"), hash("gone")}
	slices.Sort(want)
	if got, err := w.FinishedRestores(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: %v", got, want, err)
	}
}

// Whoever may create Deployments writes as many labels as they like. The configuration stays small
// enough to be stored, and what is known to have ended is in it.
func TestLabelsOfStrangersDoNotFillTheSelector(t *testing.T) {
	objs := []client.Object{ofPhase("new", v1beta1.RestoreSucceeded, 1), labelled("new", mutators.HashRestore("new")), ofPhase("old", v1beta1.RestoreSucceeded, 99), labelled("old", mutators.HashRestore("old"))}
	for i := range 3000 {
		objs = append(objs, labelled(fmt.Sprintf("s%d", i), fmt.Sprintf("%016x", i)))
	}
	w := newWorld(t, interceptor.Funcs{}, objs...)
	got, err := w.FinishedRestores(t.Context())
	if err != nil || len(got) != maxFinished || !slices.IsSorted(got) {
		t.Fatalf("%d hashes: %v", len(got), err)
	}
	for _, uid := range []string{"new", "old"} {
		if !slices.Contains(got, mutators.HashRestore(uid)) {
			t.Errorf("the restore %q, which is known to have succeeded, is not among them", uid)
		}
	}
	// What is chosen is the same each time, so that nothing is written without a reason.
	if again, err := w.FinishedRestores(t.Context()); err != nil || !slices.Equal(got, again) {
		t.Errorf("another choice: %v", err)
	}
}

// One configuration that cannot be written does not leave the other behind.
func TestAConfigurationThatIsRefusedLeavesTheOtherCurrent(t *testing.T) {
	for name, refused := range map[string]client.Object{"the mutating one": &mutatingHooks{}, "the validating one": &validatingHooks{}} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t)
			k.kept()
			under, ok := k.Client.(client.WithWatch)
			if !ok {
				t.Fatalf("a %T", k.Client)
			}
			full := errors.New("etcdserver: request is too large")
			k.Client = interceptor.NewClient(under, interceptor.Funcs{
				Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
					if fmt.Sprintf("%T", obj) == fmt.Sprintf("%T", refused) {
						return full
					}
					return c.Update(ctx, obj, opts...)
				},
			})
			k.Service = "another"
			if err := k.keep(t.Context()); !errors.Is(err, full) {
				t.Fatalf("got %v", err)
			}
			m, v := read(t, k.World, "", webhook.ConfigurationName, &mutatingHooks{}), read(t, k.World, "", webhook.ConfigurationName, &validatingHooks{})
			_, mutating := refused.(*mutatingHooks)
			if (m.Webhooks[0].ClientConfig.Service.Name == "another") == mutating || (v.Webhooks[0].ClientConfig.Service.Name == "another") != mutating {
				t.Errorf("services are %q and %q", m.Webhooks[0].ClientConfig.Service.Name, v.Webhooks[0].ClientConfig.Service.Name)
			}
		})
	}
}
