// Package pki makes the certificate authorities, certificates, keys and
// kubeconfigs of a test cluster. Everything is written once into a folder and
// reused from there.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const lifetime = 10 * 365 * 24 * time.Hour

// Folder holds PEM files NAME.crt, NAME.key and NAME.pub.
type Folder struct {
	Dir string
}

// Crt returns the path of a certificate.
func (f Folder) Crt(name string) string { return filepath.Join(f.Dir, name+".crt") }

// Key returns the path of a private key.
func (f Folder) Key(name string) string { return filepath.Join(f.Dir, name+".key") }

// Pub returns the path of a public key.
func (f Folder) Pub(name string) string { return filepath.Join(f.Dir, name+".pub") }

// Subject says whom a certificate names.
type Subject struct {
	CommonName   string
	Organization string
	// Hosts are addresses and DNS names that a server answers on.
	Hosts []string
}

// CA is a certificate authority of the folder.
type CA struct {
	folder Folder
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

// CA returns the authority with that name; it makes it when it is absent.
func (f Folder) CA(name string) (*CA, error) {
	if _, err := os.Stat(f.Crt(name)); err != nil {
		if err := f.makeCA(name); err != nil {
			return nil, fmt.Errorf("make certificate authority %s: %w", name, err)
		}
	}
	cert, err := readCertificate(f.Crt(name))
	if err != nil {
		return nil, fmt.Errorf("read certificate authority %s: %w", name, err)
	}
	key, err := readKey(f.Key(name))
	if err != nil {
		return nil, fmt.Errorf("read certificate authority %s: %w", name, err)
	}
	return &CA{folder: f, cert: cert, key: key}, nil
}

func (f Folder) makeCA(name string) error {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	key, err := f.newKey(name)
	if err != nil {
		return err
	}
	template := newTemplate(Subject{CommonName: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return writePEM(f.Crt(name), "CERTIFICATE", der)
}

// Issue makes NAME.crt and NAME.key unless they exist. Certificates serve
// clients and servers alike.
func (ca *CA) Issue(name string, subject Subject) error {
	f := ca.folder
	if _, err := os.Stat(f.Crt(name)); err == nil {
		return nil
	}
	key, err := f.newKey(name)
	if err != nil {
		return fmt.Errorf("make key of %s: %w", name, err)
	}
	template := newTemplate(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("sign certificate of %s: %w", name, err)
	}
	return writePEM(f.Crt(name), "CERTIFICATE", der)
}

// KeyPair makes NAME.key and NAME.pub unless they exist.
func (f Folder) KeyPair(name string) error {
	if _, err := os.Stat(f.Pub(name)); err == nil {
		return nil
	}
	key, err := f.newKey(name)
	if err != nil {
		return fmt.Errorf("make key pair %s: %w", name, err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode public key %s: %w", name, err)
	}
	return writePEM(f.Pub(name), "PUBLIC KEY", der)
}

func (f Folder) newKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(f.Key(name), "EC PRIVATE KEY", der)
}

func newTemplate(s Subject) *x509.Certificate {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: s.CommonName},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
	}
	if s.Organization != "" {
		t.Subject.Organization = []string{s.Organization}
	}
	for _, h := range s.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t
}

func readCertificate(path string) (*x509.Certificate, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(block)
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	return x509.ParseECPrivateKey(block)
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("decode %s: no PEM block", path)
	}
	return block.Bytes, nil
}

func writePEM(path, kind string, der []byte) error {
	data := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return os.WriteFile(path, data, 0o600)
}
