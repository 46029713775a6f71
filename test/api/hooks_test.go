package api_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/webhook"
)

// testHooks asks the API server to store the webhook configurations: it must fill nothing in, since
// the operator takes each difference for somebody's change, which it undoes.
func testHooks(t *testing.T, s *apiserver.Server) {
	t.Helper()
	in := webhook.Installation{Namespace: "stash", Finished: []string{"a", "b"}}
	mutating, validating := webhook.Mutating(in), webhook.Validating(in)
	for _, o := range []client.Object{mutating, validating} {
		if err := s.Client.Create(t.Context(), o, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
	}
	if !equality.Semantic.DeepEqual(mutating.Webhooks, webhook.Mutating(in).Webhooks) ||
		!equality.Semantic.DeepEqual(validating.Webhooks, webhook.Validating(in).Webhooks) {
		t.Errorf("the API server changed what it was given:\n%+v\n%+v", mutating.Webhooks, validating.Webhooks)
	}
}
