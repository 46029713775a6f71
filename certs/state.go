package certs

import (
	"bytes"
	"crypto/x509"
	"io"
	"maps"
	"slices"
	"time"
)

// Keys of the Secret. The first three are those of a TLS Secret.
const (
	KeyLeafCert = "tls.crt"
	KeyLeafKey  = "tls.key"
	KeyCACert   = "ca.crt"
	KeyCAKey    = "ca.key"
	// KeyNextCert and KeyNextKey are of a CA that is trusted already and does not sign yet; there is
	// no key where it is somebody else's.
	KeyNextCert = "next-ca.crt"
	KeyNextKey  = "next-ca.key"
	// KeyOldCert is of a CA that is still trusted and signs no more.
	KeyOldCert = "old-ca.crt"
	// KeyIssuer says who signed the leaf; empty: our own CA.
	KeyIssuer = "issuer"
	// KeyNextSince and KeyOldSince are since when somebody else's CA is trusted, and the old one is
	// old.
	KeyNextSince = "next-ca.since"
	KeyOldSince  = "old-ca.since"
)

// IssuerCertManager is the value of KeyIssuer where cert-manager issued the leaf.
const IssuerCertManager = "cert-manager"

// Need is something that is to be done to a Secret.
type Need string

// Needs, in the order in which they are met.
const (
	// NeedNothing: the Secret is as it should be.
	NeedNothing Need = ""
	// NeedCA: there is no usable CA.
	NeedCA Need = "CreateCA"
	// NeedSwitch: the next CA was trusted long enough and takes over.
	NeedSwitch Need = "SwitchCA"
	// NeedNext: the CA grows old, or is somebody else's and is to be ours; the next one is to be trusted.
	NeedNext Need = "AddNextCA"
	// NeedTrust: somebody else's CA signed the next leaf and is to be trusted before that is served.
	NeedTrust Need = "TrustIssuer"
	// NeedAdopt: what somebody else issued is to be served.
	NeedAdopt Need = "ServeIssued"
	// NeedForget: the next CA will not take over.
	NeedForget Need = "DropNextCA"
	// NeedLeaf: the leaf is missing, damaged, old, of another CA or lacks a name.
	NeedLeaf Need = "IssueLeaf"
	// NeedDrop: no leaf of the old CA is served any more.
	NeedDrop Need = "DropOldCA"
)

// Terms are what a Secret is kept by, beside the clock.
type Terms struct {
	// Names that the leaf is for, see Names.
	Names []string
	// Overlap is how long clients get to learn a CA, and to forget one. 0: the constant Overlap.
	Overlap time.Duration
	// Managed tells that somebody else is to issue the leaf.
	Managed bool
	// Issued is what they did; nil while there is nothing that can be served.
	Issued *Issued
}

func (t Terms) overlap() time.Duration {
	if t.Overlap > 0 {
		return t.Overlap
	}
	return Overlap
}

// reserve is how much of a leaf's life must be left while nobody renews it: the rest is for clients to
// learn our own CA.
func (t Terms) reserve() time.Duration { return 4 * t.overlap() }

// state is a Secret's data, decoded. What is damaged is nil.
type state struct {
	// ca, next and leaf are ours.
	ca, next, leaf *pair
	// foreign tells that somebody else issued what is served: served, with roots.
	foreign bool
	served  []*x509.Certificate
	roots   []*x509.Certificate
	coming  []byte
	since   time.Time
	old     []byte
	dropped time.Time
}

func read(data map[string][]byte) state {
	var s state
	s.ca = readCA(data[KeyCACert], data[KeyCAKey])
	s.next = readCA(data[KeyNextCert], data[KeyNextKey])
	if leaf, err := decodePair(data[KeyLeafCert], data[KeyLeafKey]); err == nil {
		s.leaf = leaf
	}
	if len(decodeAll(data[KeyOldCert])) > 0 {
		s.old = data[KeyOldCert]
	}
	s.foreign = string(data[KeyIssuer]) == IssuerCertManager
	s.served, s.roots = readChain(data[KeyLeafCert], data[KeyLeafKey]), decodeAll(data[KeyCACert])
	if len(decodeAll(data[KeyNextCert])) > 0 {
		s.coming = data[KeyNextCert]
	}
	s.since, s.dropped = readTime(data[KeyNextSince]), readTime(data[KeyOldSince])
	return s
}

func readCA(cert, key []byte) *pair {
	p, err := decodePair(cert, key)
	if err != nil || !p.cert.IsCA {
		return nil
	}
	return p
}

// readTime is the zero time where there is none, which is long ago.
func readTime(b []byte) time.Time {
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return time.Time{}
	}
	return t
}

func writeTime(t time.Time) []byte { return []byte(t.UTC().Format(time.RFC3339Nano)) }

// good tells whether clients that trust the current CA talk to whoever serves the current leaf.
func (s *state) good(now time.Time, names []string) bool {
	if s.foreign {
		return verify(now, s.served, s.roots, names) == nil
	}
	return s.ca != nil && s.leaf != nil && s.ca.usable(now) && !now.After(s.leaf.cert.NotAfter) && s.signed() && serves(s.leaf, names)
}

// signed tells whether our CA signed the leaf.
func (s *state) signed() bool { return s.leaf.cert.CheckSignatureFrom(s.ca.cert) == nil }

// Needs says what is due first. It is a function of the wall clock, the Secret's data and the terms
// alone, so that all replicas come to one answer.
func Needs(now time.Time, data map[string][]byte, t Terms) Need {
	s := read(data)
	need := NeedNothing
	end, err := until(now, s.served, s.roots, t.Names)
	switch good := s.foreign && err == nil; {
	case t.Managed && t.Issued != nil:
		need = s.needsIssued(now, data, t)
	case good && t.Managed && now.Before(end.Add(-t.reserve())):
		// It is good for a while, and cert-manager may come back.
	case good:
		need = s.needsReturn(now, t)
	default:
		need = s.needsOwn(now, data, t)
	}
	if need == NeedNothing && len(data[KeyOldCert]) > 0 && (s.old == nil || !now.Before(s.retired().Add(t.overlap()))) {
		return NeedDrop
	}
	return need
}

// needsOwn is for a leaf that our own CA signs, or will where there is none.
func (s *state) needsOwn(now time.Time, data map[string][]byte, t Terms) Need {
	switch {
	case s.foreign || s.ca == nil || !s.ca.usable(now):
		return NeedCA
	case s.next != nil && !now.Before(s.next.born().Add(t.overlap())):
		return NeedSwitch
	case s.next == nil && len(data[KeyNextCert]) > 0 && !t.Managed:
		return NeedForget
	case s.next == nil && s.ca.due(now):
		return NeedNext
	case s.leaf == nil || s.leaf.due(now) || !s.signed() || !serves(s.leaf, t.Names):
		return NeedLeaf
	}
	return NeedNothing
}

// needsReturn is for the way back to our own CA while somebody else's leaf is still good.
func (s *state) needsReturn(now time.Time, t Terms) Need {
	switch {
	case s.next == nil || !s.next.usable(now):
		return NeedNext
	case !now.Before(s.next.born().Add(t.overlap())):
		return NeedSwitch
	}
	return NeedNothing
}

// needsIssued is for a leaf that somebody else issued.
func (s *state) needsIssued(now time.Time, data map[string][]byte, t Terms) Need {
	chain := decodeAll(t.Issued.Cert)
	known := s.foreign && verify(now, chain, s.roots, t.Names) == nil
	switch {
	case known && bytes.Equal(data[KeyLeafCert], t.Issued.Cert) && bytes.Equal(data[KeyLeafKey], t.Issued.Key):
		if len(data[KeyNextCert]) > 0 {
			return NeedForget
		}
		return NeedNothing
	case !s.good(now, t.Names):
		return NeedAdopt // nobody loses anything
	case known && now.Before(chain[0].NotBefore.Add(min(skew, t.overlap()))):
		return NeedNothing // the clocks of clients may be behind
	case known:
		return NeedAdopt
	case s.coming == nil || !bytes.Equal(s.coming, t.Issued.CA) || s.since.IsZero() || s.since.After(now):
		return NeedTrust
	case !now.Before(s.since.Add(t.overlap())):
		return NeedAdopt
	case !s.foreign && s.leaf.due(now):
		return NeedLeaf
	}
	return NeedNothing
}

// retired is since when nobody signs with the old CA.
func (s *state) retired() time.Time {
	switch {
	case !s.dropped.IsZero():
		return s.dropped
	case s.leaf != nil:
		return s.leaf.born()
	}
	return time.Time{}
}

func serves(leaf *pair, names []string) bool {
	return len(names) > 0 && len(lacking(leaf.cert, names)) == 0
}

// Advance returns the data with everything done that is due. The argument is not changed, and keys
// that are not ours are kept.
func Advance(now time.Time, data map[string][]byte, t Terms, entropy io.Reader) (map[string][]byte, error) {
	out := maps.Clone(data)
	if out == nil {
		out = map[string][]byte{}
	}
	for need := Needs(now, out, t); need != NeedNothing; need = Needs(now, out, t) {
		if err := meet(need, now, out, t, entropy); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func meet(need Need, now time.Time, data map[string][]byte, t Terms, entropy io.Reader) error {
	s := read(data)
	switch need {
	case NeedCA:
		return createCA(now, data, &s, entropy)
	case NeedSwitch:
		retireCA(now, data, &s)
		store(data, KeyCACert, KeyCAKey, s.next)
		forgetNext(data)
		delete(data, KeyIssuer)
	case NeedNext:
		next, err := newCA(now, entropy)
		if err != nil {
			return err
		}
		forgetNext(data)
		store(data, KeyNextCert, KeyNextKey, next)
	case NeedTrust:
		forgetNext(data)
		data[KeyNextCert], data[KeyNextSince] = t.Issued.CA, writeTime(now)
	case NeedAdopt:
		adopt(now, data, &s, t.Issued)
	case NeedForget:
		forgetNext(data)
	case NeedLeaf:
		leaf, err := newLeaf(now, s.ca, t.Names, entropy)
		if err != nil {
			return err
		}
		store(data, KeyLeafCert, KeyLeafKey, leaf)
	case NeedDrop:
		delete(data, KeyOldCert)
		delete(data, KeyOldSince)
	case NeedNothing:
	}
	return nil
}

// createCA makes the next CA the current one, or a new one where there is none.
func createCA(now time.Time, data map[string][]byte, s *state, entropy io.Reader) error {
	ca := s.next // it is trusted already
	if ca == nil || !ca.usable(now) {
		made, err := newCA(now, entropy)
		if err != nil {
			return err
		}
		ca = made
	}
	store(data, KeyCACert, KeyCAKey, ca)
	forgetNext(data)
	delete(data, KeyIssuer)
	return nil
}

// retireCA keeps the current CA trusted, as the old one.
func retireCA(now time.Time, data map[string][]byte, s *state) {
	if len(s.roots) > 0 {
		data[KeyOldCert], data[KeyOldSince] = slices.Clone(data[KeyCACert]), writeTime(now)
	}
}

// adopt serves what somebody else issued.
func adopt(now time.Time, data map[string][]byte, s *state, issued *Issued) {
	if !bytes.Equal(data[KeyCACert], issued.CA) {
		retireCA(now, data, s)
	}
	forgetNext(data)
	delete(data, KeyCAKey)
	data[KeyLeafCert], data[KeyLeafKey], data[KeyCACert] = issued.Cert, issued.Key, issued.CA
	data[KeyIssuer] = []byte(IssuerCertManager)
}

func forgetNext(data map[string][]byte) {
	for _, key := range []string{KeyNextCert, KeyNextKey, KeyNextSince} {
		delete(data, key)
	}
}

func store(data map[string][]byte, cert, key string, p *pair) {
	data[cert], data[key] = p.certPEM, p.keyPEM
}

// retire begins the replacement of our CA, whatever its age. Somebody else's is theirs to replace.
func retire(now time.Time, data map[string][]byte, entropy io.Reader) (map[string][]byte, error) {
	out := maps.Clone(data)
	if s := read(out); s.next != nil || s.foreign {
		return out, nil
	}
	return out, meet(NeedNext, now, out, Terms{}, entropy)
}

// bundle is what clients are to trust: the CA, the next and the old one.
func bundle(data map[string][]byte) []byte {
	var all [][]byte
	for _, key := range []string{KeyCACert, KeyNextCert, KeyOldCert} {
		if b := data[key]; len(decodeAll(b)) > 0 && !slices.ContainsFunc(all, func(a []byte) bool { return bytes.Equal(a, b) }) {
			all = append(all, b)
		}
	}
	return bytes.Join(all, nil)
}
