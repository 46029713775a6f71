package main

import (
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/seed-731df569/stash/certs"
)

// expiries tells when what the servers show and what agents and the API server trust is over: the
// serving certificate, and the last CA of the bundle. What is not loaded yet is left out.
func expiries(s *certs.Source) map[string]time.Time {
	out := map[string]time.Time{}
	if leaf, err := s.GetCertificate(nil); err == nil && len(leaf.Certificate) > 0 {
		if c, err := x509.ParseCertificate(leaf.Certificate[0]); err == nil {
			out["serving"] = c.NotAfter
		}
	}
	rest, _ := s.Bundle()
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && c.NotAfter.After(out["ca"]) {
			out["ca"] = c.NotAfter
		}
	}
	return out
}
