package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// One that a person wrote has no owner, and would stay when its configuration goes.
func TestASessionGoesWithItsConfiguration(t *testing.T) {
	ours := metav1.OwnerReference{APIVersion: "stash.appscode.com/v1beta1", Kind: "BackupConfiguration", Name: "shop", UID: "c1", Controller: new(true)}
	theirs := metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "release", UID: "j1", Controller: new(true)}
	second := ours
	second.Controller = nil
	cases := map[string]struct {
		owners, want []metav1.OwnerReference
		config       bool
	}{
		"written by a person":          {nil, []metav1.OwnerReference{ours}, true},
		"made by something else":       {[]metav1.OwnerReference{theirs}, []metav1.OwnerReference{theirs, second}, true},
		"made by the schedule":         {[]metav1.OwnerReference{ours}, []metav1.OwnerReference{ours}, true},
		"the configuration is gone":    {nil, nil, false},
		"it belongs to an earlier one": {[]metav1.OwnerReference{{Kind: "BackupConfiguration", Name: "shop", UID: "c0"}}, []metav1.OwnerReference{{Kind: "BackupConfiguration", Name: "shop", UID: "c0"}, ours}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bs := newSession(configuration(), "by-hand")
			bs.UID, bs.OwnerReferences = "s1", c.owners
			objs := []client.Object{bs, repository(), keys()}
			if c.config {
				objs = append(objs, configuration())
			}
			w := newWorld(t, interceptor.Funcs{}, objs...)
			for range 2 {
				if _, err := (&BackupSessions{World: w}).Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(bs)}); err != nil {
					t.Fatal(err)
				}
			}
			got := read(t, w, "demo", "by-hand", &v1beta1.BackupSession{})
			if d := cmp.Diff(c.want, got.OwnerReferences); d != "" {
				t.Errorf("owners (-want +got):\n%s", d)
			}
			if got.Status.Phase == "" {
				t.Error("nothing else was done")
			}
		})
	}
}
