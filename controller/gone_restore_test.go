package controller

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/webhook"
)

// Templates and their revisions carry labels of restores for ever; RestoreSessions are deleted.
func TestARestoreThatWasDeletedKeepsNoPodFromStarting(t *testing.T) {
	rs := restoring()
	pod := webhook.PodRef{Namespace: "demo", Name: "db-0", Stamp: mutators.Stamp{Restore: mutators.HashRestore(string(rs.UID))}}
	away := interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if _, metadata := list.(*metav1.PartialObjectMetadataList); metadata {
			return errors.New("no answer")
		}
		return c.List(ctx, list, opts...)
	}}
	for name, c := range map[string]struct {
		live  *World
		state webhook.RestoreState
		fails bool
	}{
		"it was deleted":                 {newWorld(t, interceptor.Funcs{}), webhook.RestoreFinished, false},
		"it is newer than the cache":     {newWorld(t, interceptor.Funcs{}, rs), webhook.RestoreUnknown, false},
		"the API server does not answer": {newWorld(t, away), webhook.RestoreUnknown, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{})
			w.Live = c.live.Live
			plan, state, err := NewAdmission(w).RestorePlan(t.Context(), pod)
			if state != c.state || (err != nil) != c.fails || !plan.Empty() {
				t.Errorf("state %v, %v", state, err)
			}
		})
	}
}
