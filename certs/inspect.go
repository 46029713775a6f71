package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"time"
)

// Role is what a CA is for at the moment.
type Role string

// Roles of CAs.
const (
	// RoleCurrent signs what is served.
	RoleCurrent Role = "current"
	// RoleNext is trusted already and takes over when all clients have had the time to learn it.
	RoleNext Role = "next"
	// RoleOld is still trusted, and signs no more.
	RoleOld Role = "old"
)

// Authority is a CA that clients trust.
type Authority struct {
	Role        Role
	Certificate *x509.Certificate
}

// Inspected is what a Secret's data says to whoever looks at an installation: no key is in it.
type Inspected struct {
	// Chain is the serving certificate and what lies between it and its CA; empty where it cannot be
	// read.
	Chain []*x509.Certificate
	// KeyFits tells that the key of the serving certificate is there.
	KeyFits bool
	// Issuer is who signed it, IssuerCertManager or, where it is empty, the operator's own CA.
	Issuer string
	// Due is when the serving certificate is to be renewed.
	Due time.Time
	// Authorities are the CAs that clients are to trust.
	Authorities []Authority

	bundle []byte
}

// Bundle is what clients are to trust, as PEM.
func (i Inspected) Bundle() []byte { return bytes.Clone(i.bundle) }

// Inspect reads a Secret's data.
func Inspect(data map[string][]byte) Inspected {
	out := Inspected{Chain: decodeAll(data[KeyLeafCert]), Issuer: string(data[KeyIssuer]), bundle: bundle(data)}
	_, err := tls.X509KeyPair(data[KeyLeafCert], data[KeyLeafKey])
	out.KeyFits = err == nil
	if len(out.Chain) > 0 {
		out.Due = (&pair{cert: out.Chain[0]}).dueAt()
		if out.Issuer != "" { // they renew it when they like, but hardly in the last tenth
			life := out.Chain[0].NotAfter.Sub(out.Chain[0].NotBefore)
			out.Due = out.Chain[0].NotAfter.Add(-life / 10)
		}
	}
	for _, a := range []struct {
		role Role
		key  string
	}{{RoleCurrent, KeyCACert}, {RoleNext, KeyNextCert}, {RoleOld, KeyOldCert}} {
		for _, c := range decodeAll(data[a.key]) {
			out.Authorities = append(out.Authorities, Authority{Role: a.role, Certificate: c})
		}
	}
	return out
}

// decodeAll reads certificates, all of them or none.
func decodeAll(b []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for len(bytes.TrimSpace(b)) > 0 {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil || block.Type != blockCertificate {
			return nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil
		}
		out = append(out, cert)
	}
	return out
}
