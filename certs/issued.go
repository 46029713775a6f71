package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Issued is what somebody else signed for us, as PEM.
type Issued struct {
	// Cert is the serving certificate, with what lies between it and the CA.
	Cert, Key []byte
	// CA is what clients are to trust.
	CA []byte
}

// ErrUnusable is what is wrong with a certificate that cannot be served.
var ErrUnusable = errors.New("it cannot be served")

// NewIssued takes the data of a TLS Secret, where clients that trust its CA would talk to a server
// with its certificate, and for long enough that our own CA can be made known if nobody renews it. Its
// errors are ErrUnusable and say why.
func NewIssued(now time.Time, data map[string][]byte, t Terms) (*Issued, error) {
	i := &Issued{Cert: data[KeyLeafCert], Key: data[KeyLeafKey], CA: withNewline(data[KeyCACert])}
	chain, roots := decodeAll(i.Cert), decodeAll(i.CA)
	switch {
	case len(chain) == 0:
		return nil, fmt.Errorf("%w: %s holds no certificate", ErrUnusable, KeyLeafCert)
	case readChain(i.Cert, i.Key) == nil:
		return nil, fmt.Errorf("%w: %s is not the key of %s", ErrUnusable, KeyLeafKey, KeyLeafCert)
	case len(roots) == 0:
		return nil, fmt.Errorf("%w: there is no %s, so clients would not know whom to trust; use an issuer that tells its CA, as those of type ca, selfSigned or vault do", ErrUnusable, KeyCACert)
	}
	if missing := lacking(chain[0], t.Names); len(missing) > 0 {
		return nil, fmt.Errorf("%w: it is not for %s; write them into spec.dnsNames", ErrUnusable, strings.Join(missing, ", "))
	}
	if err := verify(now, chain, roots, t.Names); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if left := chain[0].NotAfter.Sub(now); left <= t.reserve() {
		return nil, fmt.Errorf("%w: it is valid for %s more, and to go over to another takes up to %s; have it live longer (spec.duration), and see why it is not renewed",
			ErrUnusable, left.Round(time.Second), t.reserve())
	}
	return i, nil
}

func lacking(leaf *x509.Certificate, names []string) []string {
	var out []string
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			out = append(out, name)
		}
	}
	return out
}

// readChain reads a certificate with its key, of whatever kind; nil where they do not belong together.
func readChain(cert, key []byte) []*x509.Certificate {
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return nil
	}
	return decodeAll(cert)
}

// verify does what clients do that trust the roots.
func verify(now time.Time, chain, roots []*x509.Certificate, names []string) error {
	if len(chain) == 0 || len(names) == 0 {
		return errors.New("there is no certificate, or it is for nobody")
	}
	trusted, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range roots {
		trusted.AddCert(c)
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	for _, name := range names {
		if _, err := chain[0].Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between, DNSName: name, CurrentTime: now}); err != nil {
			return fmt.Errorf("verify as a client: %w", err)
		}
	}
	return nil
}

// withNewline lets PEM be joined.
func withNewline(b []byte) []byte {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil
	}
	return append(bytes.Clone(b), '\n')
}
