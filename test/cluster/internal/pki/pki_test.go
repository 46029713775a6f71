package pki

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIssuedCertificatesAreTrusted(t *testing.T) {
	f := Folder{Dir: filepath.Join(t.TempDir(), "pki")}
	ca, err := f.CA("ca")
	if err != nil {
		t.Fatal(err)
	}
	subject := Subject{CommonName: "server", Organization: "group", Hosts: []string{"10.1.0.2", "server.local"}}
	if err := ca.Issue("server", subject); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parse(t, f.Crt("ca")))
	cert := parse(t, f.Crt("server"))
	for _, name := range subject.Hosts {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("verify %s: %v", name, err)
		}
	}
	if cert.Subject.Organization[0] != "group" || cert.Subject.CommonName != "server" {
		t.Errorf("subject %s", cert.Subject)
	}
}

func TestWhatExistsIsKept(t *testing.T) {
	f := Folder{Dir: t.TempDir()}
	credentials := func() string {
		ca, err := f.CA("ca")
		if err != nil {
			t.Fatal(err)
		}
		if err := ca.Issue("client", Subject{CommonName: "client"}); err != nil {
			t.Fatal(err)
		}
		if err := f.KeyPair("pair"); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(f.Dir, "kubeconfig")
		if err := f.Kubeconfig(config, "test", "https://10.1.0.2:6443", "ca", "client"); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, file := range []string{f.Crt("ca"), f.Key("ca"), f.Crt("client"), f.Pub("pair"), config} {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(data)
		}
		return all.String()
	}
	if first := credentials(); first != credentials() {
		t.Error("credentials changed")
	}
}

func parse(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
