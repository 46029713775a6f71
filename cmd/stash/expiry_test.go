package main

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/seed-731df569/stash/certs"
)

func TestExpiriesAreThoseOfWhatIsServed(t *testing.T) {
	source := &certs.Source{}
	if got := expiries(source); len(got) > 0 {
		t.Errorf("before anything is loaded: %v", got)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	keeper := &certs.Keeper{
		Client: fake.NewClientBuilder().Build(), Namespace: "stash", Source: source,
		Names: certs.Names("stash", "stash-webhook"), Now: func() time.Time { return at },
	}
	if err := keeper.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := expiries(source)
	if serving, ca := got["serving"], got["ca"]; !serving.After(at) || !ca.After(serving) {
		t.Errorf("made at %s: %v", at, got)
	}
}
