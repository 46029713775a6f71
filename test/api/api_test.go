// Package api_test asks a real API server what it makes of our CRDs and of deploy/.
package api_test

import (
	"testing"

	"github.com/seed-731df569/stash/test/apiserver"
)

func TestAPI(t *testing.T) {
	s := apiserver.Start(t, "api", 90)
	s.Kubectl(t, "", "create", "namespace", "demo")
	t.Run("rules of the schemas", func(t *testing.T) { testRules(t, s) })
	t.Run("what kubectl shows", func(t *testing.T) { testShown(t, s) })
	t.Run("versions of the Repository", func(t *testing.T) { testVersions(t, s) })
	t.Run("status is a subresource", func(t *testing.T) { testStatus(t, s) })
	t.Run("kubectl explain", func(t *testing.T) { testExplain(t, s) })
	t.Run("deploy applies without drift", func(t *testing.T) { testDeploy(t, s) })
	t.Run("rights", func(t *testing.T) { testRights(t, s) })
	t.Run("who gets tokens of agents", func(t *testing.T) { testTokens(t, s) })
	t.Run("what the broker believes", func(t *testing.T) { testIdentity(t, s) })
	t.Run("our kinds without our webhooks", func(t *testing.T) { testUnguarded(t, s) })
	t.Run("the clock", func(t *testing.T) { testClock(t, s) })
	t.Run("namespaces without our webhooks", func(t *testing.T) { testUnaskedNamespaces(t, s) })
	t.Run("the doctor", func(t *testing.T) { testDoctor(t, s) })
	// From here on, requests are answered by our webhooks.
	t.Run("what admission asks of people", func(t *testing.T) { testAdmission(t, s) })
}
