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
	end, err := until(now, chain, roots, t.Names)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if left := end.Sub(now); left <= t.reserve() {
		return nil, fmt.Errorf("%w: it, or a CA that it hangs on, is valid for %s more, and to go over to another takes up to %s; have it live longer (spec.duration, or the issuer's CA), and see why it is not renewed",
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
	_, err := until(now, chain, roots, names)
	return err
}

// until is how long clients that trust the roots will talk to a server with this chain: to the end of
// the leaf, or of what is between it and a root, or of that, whichever is first.
func until(now time.Time, chain, roots []*x509.Certificate, names []string) (time.Time, error) {
	if len(chain) == 0 || len(names) == 0 {
		return time.Time{}, errors.New("there is no certificate, or it is for nobody")
	}
	trusted, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range roots {
		trusted.AddCert(c)
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	var end time.Time
	for _, name := range names {
		ways, err := chain[0].Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between, DNSName: name, CurrentTime: now})
		if err != nil {
			return time.Time{}, fmt.Errorf("verify as a client: %w", err)
		}
		// Clients take any way that is valid; the names do not change which there are.
		for _, way := range ways {
			if e := endOf(way); e.After(end) {
				end = e
			}
		}
	}
	return end, nil
}

// endOf is when the first certificate of a way ends.
func endOf(way []*x509.Certificate) time.Time {
	end := way[0].NotAfter
	for _, c := range way[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// withNewline lets PEM be joined.
func withNewline(b []byte) []byte {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil
	}
	return append(bytes.Clone(b), '\n')
}
