package addons_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/addons"
	"github.com/seed-731df569/stash/addons/database"
	appcatalog "github.com/seed-731df569/stash/api/appcatalog/v1alpha1"
)

func binding(t *testing.T, spec string) *appcatalog.AppBinding {
	t.Helper()
	b := &appcatalog.AppBinding{}
	b.Namespace = "shop"
	if err := yaml.UnmarshalStrict([]byte(spec), &b.Spec); err != nil {
		t.Fatal(err)
	}
	return b
}

// data makes the data of a Secret of words key=value.
func data(words string) map[string][]byte {
	if words == "" {
		return nil
	}
	out := map[string][]byte{}
	for word := range strings.FieldsSeq(words) {
		key, value, _ := strings.Cut(word, "=")
		out[key] = []byte(value)
	}
	return out
}

func TestServer(t *testing.T) {
	const service = "clientConfig: {service: {scheme: postgresql, name: db, port: 7}}"
	full := database.TLS{Mode: database.ModeVerifyFull, CA: []byte("pem")}
	for name, c := range map[string]struct {
		addon, spec, secret, tls string
		want                     database.Server
	}{
		"a Service": {"postgres", service, "username=u password=p", "", database.Server{Host: "db.shop.svc", Port: 7, User: "u", Password: "p"}},
		"a Service elsewhere, with a database": {
			"postgres", "clientConfig: {service: {scheme: postgresql, name: db, namespace: more, port: 7, path: /stock, query: sslmode=disable&x=y}}", "", "",
			database.Server{Host: "db.more.svc", Port: 7, Database: "stock", TLS: database.TLS{Mode: database.ModeDisable}},
		},
		"keys of before":           {"postgres", service, "POSTGRES_USER=u POSTGRES_PASSWORD=p", "", database.Server{Host: "db.shop.svc", Port: 7, User: "u", Password: "p"}},
		"newer keys hold":          {"postgres", service, "POSTGRES_USER=a username=u POSTGRES_PASSWORD=b password=p", "", database.Server{Host: "db.shop.svc", Port: 7, User: "u", Password: "p"}},
		"a password alone":         {"postgres", service, "password=p", "", database.Server{Host: "db.shop.svc", Port: 7, Password: "p"}},
		"a url":                    {"postgres", "clientConfig: {url: 'postgresql://me:pw@db.example.com/stock?sslmode=require'}", "", "", database.Server{Host: "db.example.com", Port: 5432, User: "me", Password: "pw", Database: "stock", TLS: database.TLS{Mode: database.ModeRequire}}},
		"the Secret before a url":  {"postgres", "clientConfig: {url: 'postgresql://me:pw@[::1]:7/'}", "username=u password=p", "", database.Server{Host: "::1", Port: 7, User: "u", Password: "p"}},
		"as Go's driver writes it": {"mysql", "clientConfig: {url: 'tcp(db.shop.svc:3307)/'}", "username=u password=p", "", database.Server{Host: "db.shop.svc", Port: 3307, User: "u", Password: "p"}},
		"a CA is used":             {"postgres", "clientConfig: {caBundle: cGVt, service: {scheme: a, name: db, port: 7}}", "", "", database.Server{Host: "db.shop.svc", Port: 7, TLS: full}},
		"a CA of the tlsSecret":    {"postgres", service, "", "ca.crt=pem tls.crt=c tls.key=k", database.Server{Host: "db.shop.svc", Port: 7, TLS: database.TLS{Mode: database.ModeVerifyFull, CA: []byte("pem"), Cert: []byte("c"), Key: []byte("k")}}},
		"every certificate":        {"postgres", "clientConfig: {insecureSkipTLSVerify: true, caBundle: cGVt, service: {scheme: a, name: db, port: 7}}", "", "", database.Server{Host: "db.shop.svc", Port: 7, TLS: database.TLS{Mode: database.ModeRequire}}},
		"a certificate of its own": {"postgres", service, "", "tls.crt=c tls.key=k", database.Server{Host: "db.shop.svc", Port: 7, TLS: database.TLS{Mode: database.ModeRequire, Cert: []byte("c"), Key: []byte("k")}}},
	} {
		t.Run(name, func(t *testing.T) {
			addon, _ := database.Named(c.addon)
			got, err := addons.Server(addon, binding(t, c.spec), addons.Credentials{Secret: data(c.secret), TLS: data(c.tls)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestServerRefuses(t *testing.T) {
	const service = "clientConfig: {service: {scheme: postgresql, name: db, port: 7}}"
	for name, c := range map[string]struct{ spec, secret, tls, want string }{
		"nothing":                   {"clientConfig: {}", "", "", "spec.clientConfig: Required value: one of url and service"},
		"a url that is none":        {"clientConfig: {url: ':hunter2:'}", "", "", "spec.clientConfig.url: Invalid value: is no address; for example postgres://db.example.com:5432/shop"},
		"a url with no host":        {"clientConfig: {url: 'postgresql:///hunter2'}", "", "", "spec.clientConfig.url: Invalid value"},
		"a Secret with no password": {service + "\nsecret: {name: keys}", "user=hunter2", "", `spec.secret.name: Invalid value: "keys": the Secret has no password: it is under one of ["password" "POSTGRES_PASSWORD"]; it has ["user"]; secretTransforms`},
		"half a certificate":        {service + "\ntlsSecret: {name: tls}", "", "tls.crt=hunter2", `spec.tlsSecret.name: Invalid value: "tls": a client's certificate needs both tls.crt and tls.key; it has ["tls.crt"]`},
		"a mode that is none":       {"clientConfig: {service: {scheme: a, name: db, port: 7, query: sslmode=on}}", "", "", `spec.clientConfig: Invalid value: "sslmode=on": sslmode is disable`},
		"nothing to verify by":      {"clientConfig: {service: {scheme: a, name: db, port: 7, query: sslmode=verify-full}}", "", "", "spec.clientConfig.caBundle: Required value: sslmode=verify-full needs the CA"},
		"a query that is none":      {"clientConfig: {service: {scheme: a, name: db, port: 7, query: 'a;%'}}", "", "", "spec.clientConfig.service.query: Invalid value: is no query"},
	} {
		t.Run(name, func(t *testing.T) {
			addon, _ := database.Named("postgres")
			_, err := addons.Server(addon, binding(t, c.spec), addons.Credentials{Secret: data(c.secret), TLS: data(c.tls)})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Each database that can be dumped is one of the catalogue, and no name stands for two.
func TestNamesOfTheCatalogueAreDistinct(t *testing.T) {
	seen := map[string]string{}
	for addon, others := range addons.Catalogue() {
		for _, name := range append(others, addon) {
			if seen[name] != "" {
				t.Errorf("%s is %s and %s", name, addon, seen[name])
			}
			seen[name] = addon
		}
	}
	for _, a := range database.All() {
		if seen[a.Name] != a.Name {
			t.Errorf("%s is not in the catalogue", a.Name)
		}
	}
}
