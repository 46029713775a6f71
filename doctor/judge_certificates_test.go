package doctor

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/seed-731df569/stash/certs"
)

func aboutCertificates(t *testing.T) []judged {
	names := certs.Names("stash", "stash-webhook", "stash-broker")
	made := func() map[string][]byte {
		data, err := certs.Advance(today(), nil, certs.Terms{Names: names}, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	fresh, foreign := made(), made()
	at := func(after time.Duration, change func(map[string][]byte), wanted ...string) []Finding {
		data := maps.Clone(fresh)
		if change != nil {
			change(data)
		}
		return judgeCertificates(today().Add(after), certs.Inspect(data), append(slices.Clone(names), wanted...))
	}
	theirs := maps.Clone(fresh)
	theirs[certs.KeyIssuer] = []byte(certs.IssuerCertManager)
	short := certs.Inspect(theirs)
	ca := *short.Authorities[0].Certificate
	ca.NotAfter = today().Add(10 * 24 * time.Hour)
	short.Authorities[0].Certificate = &ca
	return []judged{
		{"certificates: the issuer's CA ends first", Warning, judgeCertificates(today(), short, names)},
		{"certificates: they are fresh", OK, at(0, nil)},
		{"certificates: a new CA is on its way", OK, at(0, func(d map[string][]byte) { d[certs.KeyNextCert] = foreign[certs.KeyCACert] })},
		{"certificates: there are none", Failure, at(0, func(d map[string][]byte) { clear(d) })},
		{"certificates: the key is another one", Failure, at(0, func(d map[string][]byte) { d[certs.KeyLeafKey] = foreign[certs.KeyLeafKey] })},
		{"certificates: the leaf should have been renewed", Warning, at(25*24*time.Hour, nil)},
		{"certificates: the leaf has expired", Failure, at(31*24*time.Hour, nil)},
		{"certificates: the leaf is of the future", Failure, at(-time.Hour, nil)},
		{"certificates: everything has expired", Failure, at(400*24*time.Hour, nil)},
		{"certificates: a name is missing", Failure, at(0, nil, "hooks.stash.svc")},
		{"certificates: cert-manager is missing", Warning, judgeIssuer(certs.Inspected{}, true, fmt.Errorf("certificate %q of cert-manager: %w", "stash/stash", certs.ErrNotInstalled))},
		{"certificates: cert-manager has gone", Warning, judgeIssuer(certs.Inspected{Issuer: certs.IssuerCertManager}, true, certs.ErrNotInstalled)},
		{"certificates: cert-manager's is not served yet", Warning, judgeIssuer(certs.Inspected{}, true, nil)},
		{"certificates: cert-manager's is still served", Warning, judgeIssuer(certs.Inspected{Issuer: certs.IssuerCertManager}, false, nil)},
		{"certificates: cert-manager's is served", "", judgeIssuer(certs.Inspected{Issuer: certs.IssuerCertManager}, true, nil)},
		{"certificates: the CA is another one", Failure, at(0, func(d map[string][]byte) { d[certs.KeyCACert] = foreign[certs.KeyCACert] })},
	}
}
