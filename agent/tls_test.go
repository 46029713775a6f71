package agent_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	bignum "math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-731df569/stash/addons/database"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/test/databases"
)

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{t: t}
	var keyPEM []byte
	a.pem, keyPEM = a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	block, _ := pem.Decode(a.pem)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode(keyPEM)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.key = cert, key
	return a
}

// issue makes a certificate, of itself where there is no authority yet.
func (a authority) issue(template *x509.Certificate) (cert, key []byte) {
	a.t.Helper()
	template.SerialNumber = bignum.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, k
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &k.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})
}

// files writes a server's certificate where it can read it.
func (a authority) files(ips ...net.IP) (ca, cert, key string) {
	a.t.Helper()
	dir, err := os.MkdirTemp("", "tls") // the server is another user, who may not enter t.TempDir
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	certPEM, keyPEM := a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "server"}, IPAddresses: ips, DNSNames: []string{"db.example"}})
	ca, cert, key = filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for file, text := range map[string][]byte{ca: a.pem, cert: certPEM, key: keyPEM} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			a.t.Fatal(err)
		}
		databases.Give(a.t, file)
	}
	databases.Give(a.t, dir)
	return ca, cert, key
}

func TestTLSOfDatabases(t *testing.T) {
	x := newLive(t)
	a, other := newAuthority(t), newAuthority(t)
	ca, cert, key := a.files(net.IPv4(127, 0, 0, 1))
	pg := databases.NewPostgres(t, "-c", "ssl=on", "-c", "ssl_cert_file="+cert, "-c", "ssl_key_file="+key, "-c", "ssl_ca_file="+ca)
	my := databases.NewMariaDB(t, "--ssl-ca="+ca, "--ssl-cert="+cert, "--ssl-key="+key)
	my.Exec("mysql", "CREATE DATABASE shop; CREATE USER tls@'%' IDENTIFIED BY '"+databases.Password+"' REQUIRE X509; GRANT ALL ON *.* TO tls@'%'")
	clientCert, clientKey := a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	user := func(d protocol.Database, name string) protocol.Database {
		d.Server.User = name
		return d
	}
	for name, c := range map[string]struct {
		of   protocol.Database
		tls  database.TLS
		want string
	}{
		"PostgreSQL, whatever certificate":    {of(pg), database.TLS{Mode: database.ModeRequire}, ""},
		"PostgreSQL, the right CA and name":   {of(pg), database.TLS{Mode: database.ModeVerifyFull, CA: a.pem}, ""},
		"PostgreSQL, another name":            {of(pg), database.TLS{Mode: database.ModeVerifyFull, CA: a.pem, ServerName: "db.example"}, ""},
		"PostgreSQL, a name that it has not":  {of(pg), database.TLS{Mode: database.ModeVerifyFull, CA: a.pem, ServerName: "else.example"}, `does not match host name`},
		"PostgreSQL, another CA":              {of(pg), database.TLS{Mode: database.ModeVerifyCA, CA: other.pem}, "certificate verify failed"},
		"PostgreSQL, a client's certificate":  {of(pg), database.TLS{Mode: database.ModeRequire, Cert: clientCert, Key: clientKey}, ""},
		"PostgreSQL, one that is somebody's":  {of(pg), database.TLS{Mode: database.ModeRequire, Cert: other.pem, Key: clientKey}, "pg_dumpall: exit status 1"},
		"MariaDB, whatever certificate":       {ofMariaDB(my), database.TLS{Mode: database.ModeRequire}, ""},
		"MariaDB, the right CA and name":      {ofMariaDB(my), database.TLS{Mode: database.ModeVerifyFull, CA: a.pem}, ""},
		"MariaDB, another CA":                 {ofMariaDB(my), database.TLS{Mode: database.ModeVerifyFull, CA: other.pem}, "TLS/SSL error"},
		"MariaDB, a client's certificate":     {user(ofMariaDB(my), "tls"), database.TLS{Mode: database.ModeRequire, Cert: clientCert, Key: clientKey}, ""},
		"MariaDB, no certificate of a client": {user(ofMariaDB(my), "tls"), database.TLS{Mode: database.ModeRequire}, "Access denied for user 'tls'"},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.of
			d.Server.TLS = c.tls
			result := x.s.do(protocol.Task{ID: name, Repository: x.Repository, Dump: &protocol.Dump{Database: d, Host: "host-0"}})
			if (result.Error == "") != (c.want == "") || !strings.Contains(result.Error, c.want) {
				t.Errorf("error = %q, want %q", result.Error, c.want)
			}
			for line := range strings.Lines(string(clientKey)) {
				if line = strings.TrimSpace(line); strings.Contains(result.Error+x.agent.log.String(), line) {
					t.Error("the key is told")
				}
			}
		})
	}
}
