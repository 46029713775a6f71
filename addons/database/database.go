package database

import (
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Server is where a database listens and as whom it is spoken to. It holds secrets, and shows none when
// it is printed.
type Server struct {
	Host string `json:"host"`
	Port int    `json:"port"`
	User string `json:"user,omitempty"`
	// Password is a secret.
	Password string `json:"password,omitempty"`
	// Database is the one that is meant where the params name none; empty: the addon's own default.
	Database string `json:"database,omitempty"`
	TLS      TLS    `json:"tls,omitzero"`
}

// TLS is how the connection is protected.
type TLS struct {
	// Mode is one of the Modes.
	Mode Mode `json:"mode,omitempty"`
	// CA is a PEM bundle for the server's certificate.
	CA []byte `json:"ca,omitempty"`
	// Cert and Key are the client's; Key is a secret.
	Cert []byte `json:"cert,omitempty"`
	Key  []byte `json:"key,omitempty"`
	// ServerName is the name that the certificate must have, where it is not the host.
	ServerName string `json:"serverName,omitempty"`
}

// Mode says whether TLS is used and what of the server's certificate is looked at.
type Mode string

// Modes.
const (
	// ModePrefer uses TLS where a PostgreSQL has it, and believes every certificate; MariaDB's programs use
	// none.
	ModePrefer Mode = ""
	// ModeDisable uses none.
	ModeDisable Mode = "disable"
	// ModeRequire insists on TLS and believes every certificate.
	ModeRequire Mode = "require"
	// ModeVerifyCA believes a certificate of the CA, whatever name it has.
	ModeVerifyCA Mode = "verify-ca"
	// ModeVerifyFull believes a certificate of the CA for the server's name.
	ModeVerifyFull Mode = "verify-full"
)

// String returns host:port.
func (s Server) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// GoString returns host:port.
func (s Server) GoString() string { return s.String() }

// Secrets are the texts that must not be seen anywhere.
func (s Server) Secrets() []string {
	secrets := []string{s.Password}
	for line := range strings.Lines(string(s.TLS.Key)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			secrets = append(secrets, line)
		}
	}
	return secrets
}

// Request is what a dump or a load is asked for.
type Request struct {
	Server Server
	// Params are the user's, by name.
	Params map[string]string
	// Dir is the folder that will hold Plan.Files.
	Dir string
	// Token is a random word that no dump can hold.
	Token string
}

// Plan is what is to be run.
type Plan struct {
	// Probe succeeds once the server answers.
	Probe *Command
	// Wait is how long it is tried.
	Wait time.Duration
	// Commands run one after the other, all into one stream; of a load there is one.
	Commands []Command
	// Files are needed below Request.Dir, for their owner only, while Commands run.
	Files []File
	// Stream, of a load, changes what the command reads; nil: nothing.
	Stream Stream
}

// Command is a program with its arguments and all of its environment that is not the same for all.
type Command struct {
	Argv []string
	// Env may hold secrets, Argv never does.
	Env []string
}

// File is a file that a program reads.
type File struct {
	Name string
	// Content may be a secret.
	Content []byte
}

// Stream changes a dump on its way to the program that loads it.
type Stream interface {
	// Copy copies all of src, and fails where src holds what must not be loaded.
	Copy(dst io.Writer, src io.Reader) error
	// Tail is written after a dump that is complete, and only then.
	Tail() []byte
}

// Addon is one database.
type Addon struct {
	// Name is that of the catalogue, for example postgres.
	Name string
	// Aliases are other names that AppBindings and images have for it.
	Aliases []string
	// Port is what the server listens on by default.
	Port int
	// File is the name of the dump in a snapshot, that of the existing Stash.
	File string
	// UserKeys and PasswordKeys are those of its Secret, the first that is there holds.
	UserKeys     []string
	PasswordKeys []string
	// User is whom it logs in as where nobody is named.
	User string

	dump, load func(Request, *params) (Plan, error)
}

// All is the list.
func All() []Addon {
	return []Addon{postgres(), mariadb(), mysql()}
}

// Named returns the addon of a name or alias.
func Named(name string) (Addon, bool) {
	name = strings.ToLower(name)
	for _, a := range All() {
		if a.Name == name || slices.Contains(a.Aliases, name) {
			return a, true
		}
	}
	return Addon{}, false
}

// OfType returns the addon for the type of an AppBinding, <group>/<resource>: by the part after the last
// slash, in the singular or the plural.
func OfType(t string) (Addon, bool) {
	resource := strings.ToLower(t[strings.LastIndex(t, "/")+1:])
	if a, ok := Named(resource); ok {
		return a, true
	}
	for _, ending := range []string{"es", "s"} {
		if a, ok := Named(strings.TrimSuffix(resource, ending)); ok && strings.HasSuffix(resource, ending) {
			return a, true
		}
	}
	return Addon{}, false
}

// DumpPlan says how the server is dumped.
func (a Addon) DumpPlan(r Request) (Plan, error) { return a.plan(r, a.dump) }

// LoadPlan says how a dump is loaded.
func (a Addon) LoadPlan(r Request) (Plan, error) { return a.plan(r, a.load) }

func (a Addon) plan(r Request, of func(Request, *params) (Plan, error)) (Plan, error) {
	if r.Server.Port == 0 {
		r.Server.Port = a.Port
	}
	if r.Server.User == "" {
		r.Server.User = a.User
	}
	if err := checkServer(r.Server); err != nil {
		return Plan{}, err
	}
	p := &params{values: r.Params, known: []string{paramWait}}
	wait, err := p.wait()
	if err != nil {
		return Plan{}, err
	}
	plan, err := of(r, p)
	if err != nil {
		return Plan{}, err
	}
	plan.Wait = wait
	return plan, p.unknown(a.Name)
}

func checkServer(s Server) error {
	switch {
	case s.Host == "" || strings.HasPrefix(s.Host, "-") || strings.ContainsAny(s.Host, "/,= \t\r\n\x00"):
		return fmt.Errorf("host %q is no host name or address: one host, for example db.example.svc", clip(s.Host))
	case s.Port < 1 || s.Port > 65535:
		return fmt.Errorf("port %d is none: 1 to 65535", s.Port)
	case strings.ContainsAny(s.User, "\r\n\x00") || strings.ContainsAny(s.Database, "\r\n\x00"):
		return fmt.Errorf("the names of user and database must hold no line break and no NUL byte")
	case strings.ContainsRune(s.Password, 0):
		return fmt.Errorf("the password must hold no NUL byte")
	case (len(s.TLS.Cert) > 0) != (len(s.TLS.Key) > 0):
		return fmt.Errorf("the client's certificate and its key go together: tls.crt and tls.key")
	}
	switch s.TLS.Mode {
	case ModePrefer, ModeDisable, ModeRequire:
		return nil
	case ModeVerifyCA, ModeVerifyFull:
		if len(s.TLS.CA) == 0 {
			return fmt.Errorf("mode %s needs the CA of the server's certificate: caBundle of the AppBinding, or ca.crt of its tlsSecret", s.TLS.Mode)
		}
		return nil
	}
	return fmt.Errorf("TLS mode %q is not known: disable, require, verify-ca or verify-full", clip(string(s.TLS.Mode)))
}

// names lists the keys, for messages.
func names(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

const maxShown = 64

func clip(s string) string {
	if len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}
