package controller

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

// A result of retention is said again until it is known whom retention left out.
func TestWhomRetentionLeftOutIsNotGuessed(t *testing.T) {
	away := errors.New("the API server is away")
	for name, c := range map[string]struct{ read, want error }{
		"a configuration that cannot be read": {away, away},
		"a configuration that is gone":        {apierrors.NewNotFound(schema.GroupResource{}, "shop"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			repo, unread := maintained(v1alpha1.OperationForget), true
			g := NewAgents(newWorld(t, interceptor.Funcs{Get: func(ctx context.Context, under client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				if _, is := obj.(*v1beta1.BackupConfiguration); is && unread {
					return c.read
				}
				return under.Get(ctx, key, obj, opts...)
			}}, repo, configuration()))
			r := protocol.Result{ID: "w1", Maintained: &protocol.Maintained{Removed: 3}}
			if err := g.Result(t.Context(), worker(), r); !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			if kept := read(t, g.World, "demo", "repo", &v1alpha1.Repository{}).Status.Work != nil; kept != (c.want != nil) {
				t.Errorf("the work is still there: %t", kept)
			}
			unread = false
			if err := g.Result(t.Context(), worker(), r); err != nil || read(t, g.World, "demo", "repo", &v1alpha1.Repository{}).Status.Work != nil {
				t.Errorf("it does not end: %v", err)
			}
		})
	}
}
