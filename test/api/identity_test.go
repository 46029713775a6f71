package api_test

import (
	"testing"

	"github.com/seed-731df569/stash/test/apiserver"
)

func testIdentity(t *testing.T, s *apiserver.Server) {}
