package addons

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/addons/database"
	appcatalog "github.com/seed-731df569/stash/api/appcatalog/v1alpha1"
)

// Credentials are the data of the Secrets that an AppBinding names.
type Credentials struct {
	// Secret is spec.secret's, after Transform; nil where none is named.
	Secret map[string][]byte
	// TLS is spec.tlsSecret's; nil where none is named.
	TLS map[string][]byte
}

// Server returns where the application of an AppBinding listens and as whom it is spoken to. The first
// key of the Secret that the addon knows holds; a user in the url counts where the Secret has none. Errors
// quote nothing of a Secret, and of a url nothing but its host.
func Server(addon database.Addon, b *appcatalog.AppBinding, c Credentials) (database.Server, *field.Error) {
	at := field.NewPath("spec")
	s, query, err := address(addon, b, at.Child("clientConfig"))
	if err != nil {
		return database.Server{}, err
	}
	if user, ok := first(c.Secret, addon.UserKeys); ok {
		s.User = user
	}
	password, ok := first(c.Secret, addon.PasswordKeys)
	switch {
	case ok:
		s.Password = password
	case c.Secret != nil && s.Password == "":
		return database.Server{}, field.Invalid(at.Child("secret", "name"), name(b.Spec.Secret),
			fmt.Sprintf("the Secret has no password: it is under one of %q; %s; secretTransforms can rename a key", addon.PasswordKeys, held(c.Secret)))
	}
	s.TLS, err = protection(b, c.TLS, query, at)
	return s, err
}

func name(ref *appcatalog.LocalReference) string {
	if ref == nil {
		return ""
	}
	return ref.Name
}

func first(data map[string][]byte, keys []string) (string, bool) {
	for _, key := range keys {
		if value, ok := data[key]; ok {
			return string(value), true
		}
	}
	return "", false
}

// mysqlURL is how Go's driver for MySQL writes an address, which AppBindings have.
var mysqlURL = regexp.MustCompile(`^(?:[^@/]*@)?tcp\(([^()]+)\)/(.*)$`)

// address reads url, which holds before service.
func address(addon database.Addon, b *appcatalog.AppBinding, at *field.Path) (database.Server, url.Values, *field.Error) {
	c := b.Spec.ClientConfig
	if c.URL == nil {
		if c.Service == nil {
			return database.Server{}, nil, field.Required(at, "one of url and service, for example service: {scheme: postgresql, name: shop-db, port: 5432}")
		}
		namespace := c.Service.Namespace
		if namespace == "" {
			namespace = b.Namespace
		}
		query, err := url.ParseQuery(c.Service.Query)
		if err != nil {
			return database.Server{}, nil, field.Invalid(at.Child("service", "query"), field.OmitValueType{}, "is no query; for example sslmode=verify-full")
		}
		return database.Server{
			Host: c.Service.Name + "." + namespace + ".svc", Port: int(c.Service.Port), Database: strings.Trim(c.Service.Path, "/"),
		}, query, nil
	}
	text := *c.URL
	if m := mysqlURL.FindStringSubmatch(text); m != nil {
		text = "mysql://" + m[1] + "/" + m[2]
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return database.Server{}, nil, field.Invalid(at.Child("url"), field.OmitValueType{}, fmt.Sprintf("is no address; for example %s://db.example.com:%d/shop", addon.Name, addon.Port))
	}
	s := database.Server{Host: u.Hostname(), Port: addon.Port, Database: strings.Trim(u.Path, "/"), User: u.User.Username()}
	s.Password, _ = u.User.Password()
	if u.Port() != "" {
		if s.Port, err = strconv.Atoi(u.Port()); err != nil {
			return s, nil, field.Invalid(at.Child("url"), shorten(net.JoinHostPort(u.Hostname(), u.Port())), "has no port that is a number")
		}
	}
	return s, u.Query(), nil
}

// protection reads how the connection is protected: as sslmode of the query says; else a certificate is
// looked at where there is a CA for it.
func protection(b *appcatalog.AppBinding, secret map[string][]byte, query url.Values, at *field.Path) (database.TLS, *field.Error) {
	c := b.Spec.ClientConfig
	t := database.TLS{CA: c.CABundle, Cert: secret["tls.crt"], Key: secret["tls.key"], ServerName: c.ServerName}
	if len(t.CA) == 0 {
		t.CA = secret["ca.crt"]
	}
	if (len(t.Cert) > 0) != (len(t.Key) > 0) {
		return t, field.Invalid(at.Child("tlsSecret", "name"), name(b.Spec.TLSSecret), "a client's certificate needs both tls.crt and tls.key; "+held(secret))
	}
	switch mode := query.Get("sslmode"); {
	case mode == "allow", mode == "prefer":
		t.Mode = database.ModePrefer
	case mode != "":
		t.Mode = database.Mode(mode)
	case len(t.CA) > 0:
		t.Mode = database.ModeVerifyFull
	case len(t.Cert) > 0, c.InsecureSkipTLSVerify:
		t.Mode = database.ModeRequire
	}
	switch t.Mode {
	case database.ModeDisable, database.ModePrefer:
		return database.TLS{Mode: t.Mode}, nil
	case database.ModeRequire:
		t.CA = nil // or PostgreSQL's programs look at the certificate
		return t, nil
	case database.ModeVerifyCA, database.ModeVerifyFull:
		if c.InsecureSkipTLSVerify {
			t.Mode, t.CA = database.ModeRequire, nil
			return t, nil
		}
		if len(t.CA) == 0 {
			return t, field.Required(at.Child("clientConfig", "caBundle"), fmt.Sprintf("sslmode=%s needs the CA of the server's certificate, here or as ca.crt of tlsSecret", t.Mode))
		}
		return t, nil
	}
	return t, field.Invalid(at.Child("clientConfig"), "sslmode="+shorten(string(t.Mode)), "sslmode is disable, prefer, require, verify-ca or verify-full")
}
