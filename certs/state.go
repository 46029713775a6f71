package certs

import (
	"bytes"
	"io"
	"maps"
	"time"
)

// Keys of the Secret. The first three are those of a TLS Secret.
const (
	KeyLeafCert = "tls.crt"
	KeyLeafKey  = "tls.key"
	KeyCACert   = "ca.crt"
	KeyCAKey    = "ca.key"
	// KeyNextCert and KeyNextKey are of a CA that is trusted already and does not sign yet.
	KeyNextCert = "next-ca.crt"
	KeyNextKey  = "next-ca.key"
	// KeyOldCert is of a CA that is still trusted and signs no more.
	KeyOldCert = "old-ca.crt"
)

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
	// NeedNext: the CA grows old; the next one is to be trusted.
	NeedNext Need = "AddNextCA"
	// NeedLeaf: the leaf is missing, damaged, old, of another CA or lacks a name.
	NeedLeaf Need = "IssueLeaf"
	// NeedDrop: no leaf of the old CA is served any more.
	NeedDrop Need = "DropOldCA"
)

// state is a Secret's data, decoded. What is damaged is nil.
type state struct {
	ca, next, leaf *pair
	old            []byte
}

func read(data map[string][]byte) state {
	var s state
	s.ca = readCA(data[KeyCACert], data[KeyCAKey])
	s.next = readCA(data[KeyNextCert], data[KeyNextKey])
	if leaf, err := decodePair(data[KeyLeafCert], data[KeyLeafKey]); err == nil {
		s.leaf = leaf
	}
	if _, err := decodeCertificate(data[KeyOldCert]); err == nil {
		s.old = data[KeyOldCert]
	}
	return s
}

func readCA(cert, key []byte) *pair {
	p, err := decodePair(cert, key)
	if err != nil || !p.cert.IsCA {
		return nil
	}
	return p
}

// Needs says what is due first. It is a function of the wall clock and the Secret's data alone, so
// that all replicas come to one answer.
func Needs(now time.Time, data map[string][]byte, names []string) Need {
	s := read(data)
	switch {
	case s.ca == nil || !s.ca.usable(now):
		return NeedCA
	case s.next != nil && !now.Before(s.next.born().Add(Overlap)):
		return NeedSwitch
	case s.next == nil && s.ca.due(now):
		return NeedNext
	case s.leaf == nil || s.leaf.due(now) || s.leaf.cert.CheckSignatureFrom(s.ca.cert) != nil || !serves(s.leaf, names):
		return NeedLeaf
	case len(data[KeyOldCert]) > 0 && (s.old == nil || !now.Before(s.leaf.born().Add(Overlap))):
		return NeedDrop
	}
	return NeedNothing
}

func serves(leaf *pair, names []string) bool {
	for _, name := range names {
		if leaf.cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return len(names) > 0
}

// Advance returns the data with everything done that is due. The argument is not changed, and keys
// that are not ours are kept.
func Advance(now time.Time, data map[string][]byte, names []string, entropy io.Reader) (map[string][]byte, error) {
	out := maps.Clone(data)
	if out == nil {
		out = map[string][]byte{}
	}
	for need := Needs(now, out, names); need != NeedNothing; need = Needs(now, out, names) {
		if err := meet(need, now, out, names, entropy); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func meet(need Need, now time.Time, data map[string][]byte, names []string, entropy io.Reader) error {
	s := read(data)
	switch need {
	case NeedCA:
		if s.next != nil && s.next.usable(now) {
			store(data, KeyCACert, KeyCAKey, s.next) // it is trusted already
		} else {
			ca, err := newCA(now, entropy)
			if err != nil {
				return err
			}
			store(data, KeyCACert, KeyCAKey, ca)
		}
		store(data, KeyNextCert, KeyNextKey, nil)
	case NeedSwitch:
		data[KeyOldCert] = s.ca.certPEM
		store(data, KeyCACert, KeyCAKey, s.next)
		store(data, KeyNextCert, KeyNextKey, nil)
	case NeedNext:
		next, err := newCA(now, entropy)
		if err != nil {
			return err
		}
		store(data, KeyNextCert, KeyNextKey, next)
	case NeedLeaf:
		leaf, err := newLeaf(now, s.ca, names, entropy)
		if err != nil {
			return err
		}
		store(data, KeyLeafCert, KeyLeafKey, leaf)
	case NeedDrop:
		delete(data, KeyOldCert)
	case NeedNothing:
	}
	return nil
}

func store(data map[string][]byte, cert, key string, p *pair) {
	if p == nil {
		delete(data, cert)
		delete(data, key)
		return
	}
	data[cert], data[key] = p.certPEM, p.keyPEM
}

// retire begins the replacement of the CA, whatever its age.
func retire(now time.Time, data map[string][]byte, entropy io.Reader) (map[string][]byte, error) {
	out := maps.Clone(data)
	if read(out).next != nil {
		return out, nil
	}
	return out, meet(NeedNext, now, out, nil, entropy)
}

// bundle is what clients are to trust: the CA, the next and the old one.
func bundle(data map[string][]byte) []byte {
	s := read(data)
	var all [][]byte
	for _, p := range []*pair{s.ca, s.next} {
		if p != nil {
			all = append(all, p.certPEM)
		}
	}
	if s.old != nil {
		all = append(all, s.old)
	}
	return bytes.Join(all, nil)
}
