package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-731df569/stash/certs"
)

func (d *Doctor) certificates(ctx context.Context, s *site) []Finding {
	if s.noSecret != nil {
		return unread("the serving certificate", s.noSecret)
	}
	if s.unread != nil {
		return unread("the names that the certificate must have", s.unread)
	}
	names := certs.Names(d.Namespace, s.options.WebhookService, s.options.BrokerService)
	out := judgeCertificates(d.now(), s.secret, names)
	if s.options.Certificate == "" {
		return append(out, judgeIssuer(s.secret, false, nil)...)
	}
	_, err := (&certs.CertManager{Client: d.client, Namespace: d.Namespace, Name: s.options.Certificate}).Issued(ctx, d.now(), certs.Terms{Names: names, Overlap: s.options.Overlap})
	return append(out, judgeIssuer(s.secret, true, err)...)
}

// judgeIssuer compares who signed with who should; trouble is why there is nothing of cert-manager's.
func judgeIssuer(have certs.Inspected, managed bool, trouble error) []Finding {
	theirs := have.Issuer == certs.IssuerCertManager
	switch {
	case trouble != nil && theirs:
		return []Finding{warn("have cert-manager issue it: an hour before it expires the operator goes over to its own CA", "what cert-manager issued is served, and would not be renewed: %v", trouble)}
	case trouble != nil:
		return []Finding{warn("have cert-manager issue it: until then the operator serves with its own CA", "nothing of cert-manager's is served: %v", trouble)}
	case managed && !theirs:
		return []Finding{warn("wait for the time of --ca-overlap (15 minutes): its CA is made known to all clients first", "what cert-manager issued is not served yet")}
	case !managed && theirs:
		return []Finding{warn("wait for the time of --ca-overlap (15 minutes): the operator's own CA is made known to all clients first", "what cert-manager issued is still served")}
	}
	return nil
}

func judgeCertificates(now time.Time, have certs.Inspected, names []string) []Finding {
	heal := "delete Secret " + certs.SecretName + ": a running operator makes a new one within half a minute, from what clients trust already"
	late := "see the operator's log: each replica looks every half minute, and says what keeps it"
	if len(have.Chain) == 0 || !have.KeyFits {
		return []Finding{fail(heal, "Secret %s holds no certificate with its key", certs.SecretName)}
	}
	leaf := have.Chain[0]
	var out []Finding
	switch {
	case now.After(leaf.NotAfter):
		out = append(out, fail(late, "the serving certificate expired on %s: neither the API server nor agents talk to the operator", day(leaf.NotAfter)))
	case now.Before(leaf.NotBefore):
		out = append(out, fail("see check clock", "the serving certificate is valid from %s only", leaf.NotBefore.UTC().Format(time.RFC3339)))
	case now.After(have.Due.Add(time.Hour)):
		out = append(out, warn(late, "the serving certificate was to be renewed on %s; it expires on %s", day(have.Due), day(leaf.NotAfter)))
	}
	var lacking []string
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			lacking = append(lacking, name)
		}
	}
	if len(lacking) > 0 {
		out = append(out, fail(late, "the serving certificate is not for %s", strings.Join(lacking, ", ")))
	}
	if !trusted(now, have) {
		out = append(out, fail(heal, "the serving certificate is not signed by a CA that clients trust"))
	}
	for _, a := range have.Authorities {
		switch end := a.Certificate.NotAfter; {
		case now.After(end):
			out = append(out, fail(late, "the %s CA %q expired on %s", a.Role, a.Certificate.Subject.CommonName, day(end)))
		case have.Issuer != "" && a.Role == certs.RoleCurrent && end.Before(leaf.NotAfter):
			out = append(out, warn("have the issuer renew its CA, and then the certificate: an hour before that the operator goes over to its own CA",
				"the CA %q ends on %s, before the serving certificate that it signed", a.Certificate.Subject.CommonName, day(end)))
		}
	}
	if len(out) == 0 {
		out = append(out, fine("the serving certificate is good for %s; %s", left(now, leaf.NotAfter), authorities(now, have.Authorities)))
	}
	return out
}

// trusted tells whether the chain leads to one of the CAs. Dates and names are looked at elsewhere.
func trusted(now time.Time, have certs.Inspected) bool {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range have.Authorities {
		roots.AddCert(a.Certificate)
	}
	for _, c := range have.Chain[1:] {
		between.AddCert(c)
	}
	leaf := have.Chain[0]
	for _, at := range []time.Time{now, leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at}); err == nil {
			return true
		}
	}
	return false
}

func authorities(now time.Time, list []certs.Authority) string {
	out := make([]string, 0, len(list))
	for _, a := range list {
		out = append(out, fmt.Sprintf("%s CA %q for %s", a.Role, a.Certificate.Subject.CommonName, left(now, a.Certificate.NotAfter)))
	}
	return strings.Join(slices.Compact(out), ", ")
}

func left(now, end time.Time) string {
	if days := int(end.Sub(now).Hours() / 24); days != 1 {
		return fmt.Sprintf("%d days", days)
	}
	return "1 day"
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
