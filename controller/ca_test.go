package controller

import (
	"context"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
)

func TestTheCAComesBackWhereAgentsNeedIt(t *testing.T) {
	key := client.ObjectKey{Namespace: "shop", Name: api.ConfigMapCA}
	meta := metav1.ObjectMeta{Namespace: "shop", Name: api.ConfigMapCA}
	repository := &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "repo"}}
	for name, c := range map[string]struct {
		objects []client.Object
		want    string
	}{
		"it was deleted, perhaps with its namespace": {[]client.Object{repository}, "bundle"},
		"somebody edited it":                         {[]client.Object{repository, &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{api.ConfigMapCAKey: "another"}}}, "bundle"},
		"somebody emptied it":                        {[]client.Object{repository, &corev1.ConfigMap{ObjectMeta: meta}}, "bundle"},
		"nobody needs it":                            {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, c.objects...)
			w.Bundle = func() ([]byte, <-chan struct{}) { return []byte("bundle"), nil }
			a := &Authorities{World: w}
			if _, err := a.Reconcile(t.Context(), reconcile.Request{NamespacedName: key}); err != nil {
				t.Fatal(err)
			}
			cm := &corev1.ConfigMap{}
			if err := w.Get(t.Context(), key, cm); client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
			if got := cm.Data[api.ConfigMapCAKey]; got != c.want {
				t.Errorf("the CA is %q, want %q", got, c.want)
			}
		})
	}
}

func TestANamespaceThatIsBeingDeletedGetsNoCA(t *testing.T) {
	refused := interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
		err := apierrors.NewForbidden(corev1.Resource("configmaps"), api.ConfigMapCA, nil)
		err.ErrStatus.Code = http.StatusForbidden
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		return err
	}}
	w := newWorld(t, refused)
	w.Bundle = func() ([]byte, <-chan struct{}) { return []byte("bundle"), nil }
	if err := w.ensureCA(t.Context(), "shop"); err != nil {
		t.Error(err)
	}
}
