package controller

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/webhook"
)

// A pod that names a pull secret that does not exist has kubelet complain for ever.
func TestPullSecretsAreUsedWhereTheyExist(t *testing.T) {
	reads := 0
	var fault error
	s := newStage()
	s.funcs.Get = func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
		if meta, ok := obj.(*metav1.PartialObjectMetadata); ok && meta.Kind == "Secret" {
			if reads++; fault != nil {
				return fault
			}
		} else if _, ok := obj.(*corev1.Secret); ok {
			t.Error("a Secret's data is read")
		}
		return c.Get(ctx, key, obj, opts...)
	}
	s.start(t)
	s.PullSecrets = []string{"registry", "other"}
	a := NewAdmission(s.World)
	ref := webhook.PodRef{Namespace: "demo", Owner: mutators.Owner{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "w1"}}
	secrets := func() []corev1.LocalObjectReference {
		t.Helper()
		plan, err := a.BackupPlan(t.Context(), ref)
		if err != nil || plan.Empty() {
			t.Fatal(err)
		}
		pod, _, err := mutators.Apply(&corev1.Pod{Spec: s.set.Spec.Template.Spec}, plan)
		if err != nil {
			t.Fatal(err)
		}
		return pod.Spec.ImagePullSecrets
	}
	if got := secrets(); len(got) > 0 || reads != 2 {
		t.Fatalf("%v after %d reads", got, reads)
	}
	if err := s.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "registry"}}); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		secrets()
	}
	if reads != 2 {
		t.Errorf("%d reads on the way of pods", reads-2)
	}
	// Nobody is told of a Secret: it is seen after a while.
	s.at(pullSecretsFor)
	if d := cmp.Diff([]corev1.LocalObjectReference{{Name: "registry"}}, secrets()); d != "" {
		t.Error(d)
	}
	plan, _, err := s.restorePlan(t.Context(), s.set, target.StatefulSet(), &v1beta1.RestoreSession{Spec: v1beta1.RestoreSessionSpec{
		Repository: s.config.Spec.Repository,
		Target:     &v1beta1.RestoreTarget{Ref: s.config.Spec.Target.Ref, VolumeMounts: s.config.Spec.Target.VolumeMounts},
	}})
	if err != nil || plan.Empty() {
		t.Fatal(err)
	}
	if pod, _, err := mutators.Apply(&corev1.Pod{Spec: s.set.Spec.Template.Spec}, plan); err != nil || len(pod.Spec.ImagePullSecrets) != 1 {
		t.Errorf("an init-container: %+v, %v", pod.Spec.ImagePullSecrets, err)
	}
	// A pod whose image cannot be pulled is worse than one that gets its sidecar later.
	s.at(2 * pullSecretsFor)
	fault = errors.New("away")
	if _, err := a.BackupPlan(t.Context(), ref); err == nil {
		t.Error("what is not known is taken for absent")
	}
}
