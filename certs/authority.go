package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// Lifetimes. Both CA and leaf are replaced when two thirds of theirs are over.
const (
	LifeCA   = 365 * 24 * time.Hour
	LifeLeaf = 30 * 24 * time.Hour
	// Overlap is how long clients get to learn a CA before it signs, and to see the new leaf before
	// the old CA is dropped: kubelets refresh a ConfigMap in a pod within about two minutes.
	Overlap = 15 * time.Minute
	// skew is how far the clocks of clients may be behind ours.
	skew = 5 * time.Minute
)

const (
	blockCertificate = "CERTIFICATE"
	blockKey         = "EC PRIVATE KEY"
)

// pair is a certificate with its key, in the form that is stored.
type pair struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	certPEM []byte
	keyPEM  []byte
}

// born is when the pair was made.
func (p *pair) born() time.Time { return p.cert.NotBefore.Add(skew) }

// due tells whether two thirds of the lifetime are over. A certificate from the future is due too:
// the clock was wrong when it was made, or is now.
func (p *pair) due(now time.Time) bool {
	return now.After(p.dueAt()) || now.Before(p.cert.NotBefore)
}

// dueAt is when two thirds of the lifetime are over.
func (p *pair) dueAt() time.Time {
	return p.born().Add(p.cert.NotAfter.Sub(p.born()) * 2 / 3)
}

// usable tells whether a CA may still sign: a leaf must live long enough to be replaced in time.
func (p *pair) usable(now time.Time) bool { return now.Before(p.cert.NotAfter.Add(-Overlap)) }

func newCA(now time.Time, entropy io.Reader) (*pair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "stash-ca", SerialNumber: now.UTC().Format(time.RFC3339)},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	return issue(template, nil, now, LifeCA, entropy)
}

func newLeaf(now time.Time, ca *pair, names []string, entropy io.Reader) (*pair, error) {
	if len(names) == 0 {
		return nil, errors.New("issue a certificate: no names are given")
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if len(names[0]) > 64 {
		template.Subject.CommonName = "stash" // the limit of the field; clients look at the names
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	life := LifeLeaf
	if left := ca.cert.NotAfter.Sub(now); left < life {
		life = left
	}
	return issue(template, ca, now, life, entropy)
}

// issue signs with parent, or with the new key itself where parent is nil.
func issue(template *x509.Certificate, parent *pair, now time.Time, life time.Duration, entropy io.Reader) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), entropy)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	serial, err := rand.Int(entropy, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = now.Add(-skew).UTC(), now.Add(life).UTC()
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(entropy, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return decodePair(
		pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: keyDER}),
	)
}

// decodePair reads what issue wrote and checks that the two belong together.
func decodePair(certPEM, keyPEM []byte) (*pair, error) {
	cert, err := decodeCertificate(certPEM)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, errors.New("decode a key: no PEM block")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("decode a key: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("decode a key: it is not that of the certificate")
	}
	return &pair{cert: cert, key: key, certPEM: certPEM, keyPEM: keyPEM}, nil
}

func decodeCertificate(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != blockCertificate {
		return nil, errors.New("decode a certificate: no PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("decode a certificate: %w", err)
	}
	return cert, nil
}
