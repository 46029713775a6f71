// Package backendtest holds what every storage of package backend must do, whatever it is. A new
// storage brings a Sample and joins; the tests of its own then only hold what is special to it.
package backendtest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/backend"
)

// Sample is one storage with a block that is in order.
type Sample struct {
	// Storage under test.
	Storage backend.Storage
	// Backend is in order.
	Backend v1alpha1.Backend
	// Same are other spellings of the same place.
	Same []v1alpha1.Backend
	// Other are other places.
	Other []v1alpha1.Backend
	// Texts are setters for each field that a tenant writes freely into a block.
	Texts map[string]func(b *v1alpha1.Backend, text string)
	// Place returns what the URL says beyond what Texts may set, such as the host; it must not
	// change whatever a tenant writes elsewhere. It may be nil.
	Place func(url string) string
}

// Hostile are texts that mean more than they say to a shell, a URL or an option parser.
func Hostile() []string {
	return []string{
		"../../other", "a/../../b", "..", "x?y=z", "x#y", "x%2f..%2fy", "%00", "a\nb", "a\x00b", "\x1b[31m", "a\rb",
		"--password-command=id", "-o", "@evil.example/", "user:pass@evil.example", "evil.example/bucket",
		"https://evil.example/", "s3:evil", "rest:http://evil.example/", "$(id)", "`id`", "; id", "\u2028", `a\..\b`, "\xff\xfe",
	}
}

// Run tests the conformance of one storage.
func Run(t *testing.T, s Sample) {
	t.Helper()
	secret := map[string][]byte{}
	keys := s.Storage.Keys()
	for _, key := range append(slices.Clone(keys.Required), keys.Optional...) {
		secret[key] = []byte("secret-of-" + key)
	}
	path := field.NewPath("spec", "backend")

	t.Run("it is in the list and found by its block", func(t *testing.T) {
		found, err := backend.ForBackend(s.Backend)
		if err != nil || found.Name() != s.Storage.Name() {
			t.Fatalf("ForBackend = %v, %v, want %s", found, err, s.Storage.Name())
		}
		if s.Storage.Matches(v1alpha1.Backend{}) {
			t.Error("it matches an empty backend")
		}
	})
	t.Run("a block in order is accepted", func(t *testing.T) {
		if errs := s.Storage.Validate(s.Backend, path); len(errs) > 0 {
			t.Errorf("Validate: %v", errs)
		}
	})
	t.Run("secrets are in the environment and nowhere else", func(t *testing.T) { secrets(t, s, secret) })
	t.Run("a missing key is named", func(t *testing.T) { missingKeys(t, s, secret) })
	t.Run("the location is the place's identity", func(t *testing.T) { locations(t, s) })
	t.Run("an absent block is no panic", func(t *testing.T) {
		var none v1alpha1.Backend
		if len(s.Storage.Validate(none, path)) == 0 {
			t.Error("Validate accepts it")
		}
		if _, err := s.Storage.Repository(none, secret); err == nil {
			t.Error("Repository accepts it")
		}
		s.Storage.Location(none, "ns")
		s.Storage.Warnings(none)
		s.Storage.Volume(none)
	})
	for name, set := range s.Texts {
		t.Run("hostile text in "+name+" is refused or stays text", func(t *testing.T) { hostile(t, s, secret, set) })
	}
}

func secrets(t *testing.T, s Sample, secret map[string][]byte) {
	r, err := s.Storage.Repository(s.Backend, secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range s.Storage.Keys().Required {
		if r.Env[key] != string(secret[key]) {
			t.Errorf("the key %s is not in the environment", key)
		}
	}
	r.Env, r.CACert = nil, nil
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, s.Storage.Location(s.Backend, "ns")...)
	if bytes.Contains(text, []byte("secret-of-")) {
		t.Errorf("a secret is outside of the environment: %s", text)
	}
}

func missingKeys(t *testing.T, s Sample, secret map[string][]byte) {
	for _, key := range s.Storage.Keys().Required {
		for _, useless := range [][]byte{nil, {}, []byte("a\x00b")} {
			less := maps.Clone(secret)
			less[key] = useless
			_, err := s.Storage.Repository(s.Backend, less)
			if err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("with %s = %q the error is %v, want one that names the key", key, useless, err)
			}
		}
	}
}

func locations(t *testing.T, s Sample) {
	want := s.Storage.Location(s.Backend, "ns")
	if want == "" {
		t.Fatal("it is empty")
	}
	for _, same := range s.Same {
		if got := s.Storage.Location(same, "ns"); got != want {
			t.Errorf("location = %q, want that of the same place, %q", got, want)
		}
		if errs := s.Storage.Validate(same, field.NewPath("spec", "backend")); len(errs) > 0 {
			t.Errorf("another spelling is refused: %v", errs)
		}
	}
	for _, other := range s.Other {
		if got := s.Storage.Location(other, "ns"); got == want {
			t.Errorf("location of another place is the same, %q: %+v", got, other)
		}
	}
}

func hostile(t *testing.T, s Sample, secret map[string][]byte, set func(*v1alpha1.Backend, string)) {
	sound, err := s.Storage.Repository(s.Backend, secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range Hostile() {
		b := *s.Backend.DeepCopy()
		set(&b, text)
		errs := s.Storage.Validate(b, field.NewPath("spec", "backend"))
		r, err := s.Storage.Repository(b, secret)
		if len(errs) > 0 {
			if err == nil {
				t.Errorf("%q is refused by Validate and taken by Repository", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q passes Validate, and Repository fails: %v", text, err)
			continue
		}
		if s.Place != nil && s.Place(r.URL) != s.Place(sound.URL) {
			t.Errorf("%q moves the repository: %s", text, r.URL)
		}
		if strings.HasPrefix(r.URL, "-") || strings.ContainsAny(r.URL, "\n\r\x00\x1b") {
			t.Errorf("%q makes the URL %q", text, r.URL)
		}
	}
}
