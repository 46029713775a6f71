package certs_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/certs"
)

// issuer is a CA that is not ours.
type issuer struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newIssuer(t testing.TB, now time.Time) *issuer {
	t.Helper()
	return issuerFor(t, now, 365*24*time.Hour)
}

// issuerFor is a CA that ends after some time.
func issuerFor(t testing.TB, now time.Time, life time.Duration) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key}
	i.cert, i.pem = i.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "theirs"}, NotBefore: now, NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key.Public())
	return i
}

func (i *issuer) sign(template *x509.Certificate, public any) (*x509.Certificate, []byte) {
	i.t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		i.t.Fatal(err)
	}
	template.SerialNumber = serial
	parent := i.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// secret is what cert-manager writes.
func (i *issuer) secret(now time.Time, life time.Duration, names ...string) map[string][]byte {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	return i.secretOf(key, now, life, names...)
}

func (i *issuer) secretOf(key crypto.Signer, now time.Time, life time.Duration, names ...string) map[string][]byte {
	i.t.Helper()
	_, cert := i.sign(&x509.Certificate{NotBefore: now, NotAfter: now.Add(life), DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature}, key.Public())
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return map[string][]byte{
		certs.KeyLeafCert: cert, certs.KeyLeafKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		certs.KeyCACert: bytes.TrimSpace(i.pem),
	}
}

func (i *issuer) issue(now time.Time, life time.Duration) *certs.Issued {
	i.t.Helper()
	issued, err := certs.NewIssued(now, i.secret(now, life, names()...), ours())
	if err != nil {
		i.t.Fatal(err)
	}
	return issued
}

func TestWhatCannotBeServedIsRefusedWithWhatToDo(t *testing.T) {
	now := start()
	i := newIssuer(t, now)
	with := func(change func(map[string][]byte)) map[string][]byte {
		out := i.secret(now, 24*time.Hour, names()...)
		change(out)
		return out
	}
	for name, c := range map[string]struct {
		data map[string][]byte
		want string
	}{
		"nothing":          {nil, "tls.crt holds no certificate"},
		"another key":      {with(func(d map[string][]byte) { d[certs.KeyLeafKey] = i.secret(now, 24*time.Hour)[certs.KeyLeafKey] }), "tls.key is not the key of tls.crt"},
		"no CA":            {with(func(d map[string][]byte) { delete(d, certs.KeyCACert) }), "there is no ca.crt, so clients would not know whom to trust; use an issuer that tells its CA"},
		"a name missing":   {i.secret(now, 24*time.Hour, names()[:3]...), "it is not for stash-broker.stash.svc.cluster.local; write them into spec.dnsNames"},
		"another CA":       {with(func(d map[string][]byte) { d[certs.KeyCACert] = newIssuer(t, now).pem }), "signed by unknown authority"},
		"it has expired":   {i.secret(now.Add(-2*time.Hour), time.Hour, names()...), "has expired"},
		"it ends soon":     {i.secret(now, time.Hour, names()...), "it, or a CA that it hangs on, is valid for 1h0m0s more, and to go over to another takes up to 1h0m0s; have it live longer (spec.duration, or the issuer's CA), and see why it is not renewed"},
		"its CA ends soon": {issuerFor(t, now, time.Hour).secret(now, 24*time.Hour, names()...), "a CA that it hangs on, is valid for 1h0m0s more"},
		"a CA is no PEM":   {with(func(d map[string][]byte) { d[certs.KeyCACert] = []byte("x") }), "there is no ca.crt"},
		"half a CA is no":  {with(func(d map[string][]byte) { d[certs.KeyCACert] = append(d[certs.KeyCACert], "\nx"...) }), "there is no ca.crt"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := certs.NewIssued(now, c.data, ours())
			if !errors.Is(err, certs.ErrUnusable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q", err, c.want)
			}
		})
	}
}

// Keys are of whatever kind the Certificate asks for.
func TestWhatIsIssuedMayHaveAKeyOfAnyKind(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := start()
	issued, err := certs.NewIssued(now, newIssuer(t, now).secretOf(key, now, 24*time.Hour, names()...), ours())
	if err != nil {
		t.Fatal(err)
	}
	data, err := certs.Advance(now, nil, certs.Terms{Names: names(), Managed: true, Issued: issued}, rand.Reader)
	if err != nil || !certs.Inspect(data).KeyFits || certs.Inspect(data).Issuer != certs.IssuerCertManager {
		t.Errorf("error = %v, served is %+v", err, certs.Inspect(data))
	}
}

// TestNeedsOfIssued goes through what is due step by step, where the signers change.
func TestNeedsOfIssued(t *testing.T) {
	t0 := start()
	i, j := newIssuer(t, t0), newIssuer(t, t0)
	own := advance(t, t0, nil)
	terms := func(issued *certs.Issued) certs.Terms {
		return certs.Terms{Names: names(), Managed: true, Issued: issued}
	}
	first, renewed, other := i.issue(t0, 30*24*time.Hour), i.issue(t0.Add(time.Hour), 30*24*time.Hour), j.issue(t0.Add(time.Hour), 30*24*time.Hour)
	at := func(after time.Duration, data map[string][]byte, t2 certs.Terms) map[string][]byte {
		t.Helper()
		out, err := certs.Advance(t0.Add(after), data, t2, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	waiting := at(0, own, terms(first))
	adopted := at(certs.Overlap, waiting, terms(first))
	settled := at(2*certs.Overlap, adopted, terms(first))
	returning := at(time.Hour, settled, certs.Terms{Names: names()})
	damaged := maps.Clone(settled)
	damaged[certs.KeyLeafKey] = []byte("x")
	for name, c := range map[string]struct {
		at    time.Duration
		data  map[string][]byte
		terms certs.Terms
		want  certs.Need
	}{
		"without a Secret, what was issued is served at once":         {0, nil, terms(first), certs.NeedAdopt},
		"without anything issued, our own CA serves":                  {0, nil, terms(nil), certs.NeedCA},
		"our own goes on while nothing is issued":                     {0, own, terms(nil), certs.NeedNothing},
		"the issuer's CA is trusted first":                            {0, own, terms(first), certs.NeedTrust},
		"it is trusted for the overlap":                               {certs.Overlap - time.Second, waiting, terms(first), certs.NeedNothing},
		"then what was issued is served":                              {certs.Overlap, waiting, terms(first), certs.NeedAdopt},
		"a renewal of the same CA begins no new overlap":              {certs.Overlap - time.Second, waiting, terms(i.issue(t0, 24*time.Hour)), certs.NeedNothing},
		"another CA in between begins a new overlap":                  {certs.Overlap, waiting, terms(other), certs.NeedTrust},
		"an outage in between loses no time":                          {certs.Overlap, waiting, terms(nil), certs.NeedNothing},
		"the way back before the switch forgets the issuer":           {time.Minute, waiting, certs.Terms{Names: names()}, certs.NeedForget},
		"our own CA is old then":                                      {2*certs.Overlap - time.Second, adopted, terms(first), certs.NeedNothing},
		"and is dropped after the overlap":                            {2 * certs.Overlap, adopted, terms(first), certs.NeedDrop},
		"a renewal waits for clocks that are behind":                  {time.Hour + 4*time.Minute, settled, terms(renewed), certs.NeedNothing},
		"and is served then":                                          {time.Hour + 5*time.Minute, settled, terms(renewed), certs.NeedAdopt},
		"another CA of the issuer is trusted first, too":              {time.Hour, settled, terms(other), certs.NeedTrust},
		"what is served is kept while cert-manager is away":           {29 * 24 * time.Hour, settled, terms(nil), certs.NeedNothing},
		"an hour before its end, our own CA is prepared":              {30*24*time.Hour - time.Hour, settled, terms(nil), certs.NeedNext},
		"after its end, our own CA serves at once":                    {31 * 24 * time.Hour, settled, terms(nil), certs.NeedCA},
		"a damaged key is made good by what is issued":                {time.Hour, damaged, terms(first), certs.NeedAdopt},
		"on the way back our own CA is trusted first":                 {time.Hour, settled, certs.Terms{Names: names()}, certs.NeedNext},
		"and signs after the overlap":                                 {time.Hour + certs.Overlap, returning, certs.Terms{Names: names()}, certs.NeedSwitch},
		"not before":                                                  {time.Hour + certs.Overlap - time.Second, returning, certs.Terms{Names: names()}, certs.NeedNothing},
		"who changes their mind on the way back keeps what is served": {time.Hour, returning, terms(first), certs.NeedForget},
	} {
		t.Run(name, func(t *testing.T) {
			if got := certs.Needs(t0.Add(c.at), c.data, c.terms); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if settled[certs.KeyCAKey] != nil || settled[certs.KeyOldCert] != nil || string(settled[certs.KeyIssuer]) != certs.IssuerCertManager {
		t.Error("the key of our own CA, or the old CA, is still there")
	}
	back := at(time.Hour+3*certs.Overlap, at(time.Hour+certs.Overlap, returning, certs.Terms{Names: names()}), certs.Terms{Names: names()})
	if back[certs.KeyIssuer] != nil || back[certs.KeyOldCert] != nil || back[certs.KeyOldSince] != nil {
		t.Error("something of cert-manager's is left after the way back")
	}
}

// served is what clients meet and trust from a moment on.
type served struct {
	from         time.Time
	leaf, bundle []byte
}

// TestNoClientEverMeetsWhatItDoesNotTrust: signers change, renew and fail in any order. A client may
// know the bundle of any moment of the last overlap, and a replica may serve the leaf of any.
func TestNoClientEverMeetsWhatItDoesNotTrust(t *testing.T) {
	const step, life = 5 * time.Minute, 4 * time.Hour
	rapid.Check(t, func(r *rapid.T) {
		now := start()
		i := newIssuer(t, now)
		issue := func() map[string][]byte { return i.secret(now, life, names()...) }
		issued, managed, away := issue(), false, false
		var data map[string][]byte
		var history []served
		tick := func() {
			now = now.Add(step)
			terms := certs.Terms{Names: names(), Managed: managed}
			if managed && !away {
				// What nobody renews is given up in time.
				terms.Issued, _ = certs.NewIssued(now, issued, ours())
			}
			next, err := certs.Advance(now, data, terms, rand.Reader)
			if err != nil {
				r.Fatal(err)
			}
			if maps.EqualFunc(data, next, bytes.Equal) {
				return
			}
			if again, err := certs.Advance(now, next, terms, rand.Reader); err != nil || !maps.EqualFunc(next, again, bytes.Equal) {
				r.Fatalf("it is not done at once: %v", err)
			}
			data = next
			history = append(history, served{now, data[certs.KeyLeafCert], certs.Inspect(data).Bundle()})
			for len(history) > 2 && !history[1].from.After(now.Add(-certs.Overlap)) {
				history = history[1:]
			}
			last := history[len(history)-1]
			for _, h := range history {
				trusts(r, now, last.leaf, h.bundle)
				trusts(r, now, h.leaf, last.bundle)
			}
		}
		tick()
		for _, event := range rapid.SliceOfN(rapid.SampledFrom([]string{"mode", "mode", "root", "short root", "renew", "away", "hours"}), 1, 8).Draw(r, "events") {
			steps := rapid.IntRange(1, 5).Draw(r, "steps")
			switch event {
			case "mode":
				managed = !managed
			case "root":
				i = newIssuer(t, now)
				issued = issue()
			case "short root": // it ends before what it signs
				i = issuerFor(t, now, life-time.Hour)
				issued = issue()
			case "renew":
				issued = issue()
			case "away":
				away = !away
			case "hours":
				steps = 30
			}
			for range steps {
				tick()
			}
		}
	})
}

func trusts(r *rapid.T, now time.Time, leaf, bundle []byte) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	block, _ := pem.Decode(leaf)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		r.Fatal(err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: names()[0], CurrentTime: now}); err != nil {
		r.Fatalf("at %s: %v", now.Sub(start()), err)
	}
}
