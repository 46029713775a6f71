package backend

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/restic"
)

// Keys of the storage Secret that every backend reads.
const (
	// KeyPassword encrypts the repository; required.
	KeyPassword = "RESTIC_PASSWORD"
	// KeyCACert is a PEM bundle for the storage's certificate; optional.
	KeyCACert = "CA_CERT_DATA"
)

// Storage is one kind of backend. Implementations are values without state.
type Storage interface {
	// Name is the provider's identity, for example "s3"; it is the field's name in Backend.
	Name() string
	// Matches tells whether the block of this storage is given.
	Matches(b v1alpha1.Backend) bool
	// Keys are those of the storage Secret.
	Keys() Keys
	// Repository returns what restic needs to open the repository. It fails for what Validate
	// refuses, and with MissingKeyError where the Secret lacks a key.
	Repository(b v1alpha1.Backend, secret map[string][]byte) (restic.Repository, error)
	// Location is the canonical identity of the place, for a Repository of that namespace: equal
	// for all spellings that mean the same place, without anything secret.
	Location(b v1alpha1.Backend, namespace string) string
	// Validate returns all that is wrong with the block; path is that of the Backend.
	Validate(b v1alpha1.Backend, path *field.Path) field.ErrorList
	// Warnings are sentences about what works but may not be meant.
	Warnings(b v1alpha1.Backend) []string
	// Volume returns the volume that pods need to reach the storage, and its mount; nil for
	// storages on the network.
	Volume(b v1alpha1.Backend) (*corev1.Volume, *corev1.VolumeMount)
}

// Keys are names of keys in the storage Secret.
type Keys struct {
	// Required keys must be there.
	Required []string
	// Optional keys are read where they are there.
	Optional []string
}

// All lists the storages, in the order in which they are documented.
func All() []Storage {
	return []Storage{
		S3{},
		Local{},
	}
}

// ForBackend returns the storage of the block that is given. It returns NotSupportedYetError for a
// block of the API without a storage, and an error where no block or more than one is given.
func ForBackend(b v1alpha1.Backend) (Storage, error) {
	given := blocks(b)
	switch {
	case len(given) == 0:
		return nil, fmt.Errorf("find storage: the backend has no block: expected one of %s", strings.Join(providers(), ", "))
	case len(given) > 1:
		return nil, fmt.Errorf("find storage: the backend has the blocks %s: expected one", strings.Join(given, ", "))
	}
	for _, s := range All() {
		if s.Matches(b) {
			return s, nil
		}
	}
	return nil, NotSupportedYetError{Provider: given[0]}
}

// Validate returns all that is wrong with a backend, whatever its storage.
func Validate(b v1alpha1.Backend, path *field.Path) field.ErrorList {
	s, err := ForBackend(b)
	if given := blocks(b); err != nil && len(given) == 1 {
		return field.ErrorList{field.Forbidden(path.Child(given[0]), fmt.Sprintf("not supported yet: use %s", strings.Join(supported(), " or ")))}
	} else if err != nil {
		return field.ErrorList{field.Invalid(path, strings.Join(given, ","), "exactly one of "+strings.Join(providers(), ", ")+" must be given; for example s3: {endpoint: https://s3.example.com, bucket: backups}")}
	}
	return s.Validate(b, path)
}

// NotSupportedYetError tells that the API has a block for which there is no storage yet.
type NotSupportedYetError struct {
	// Provider is the name of the block.
	Provider string
}

// Error says it.
func (e NotSupportedYetError) Error() string {
	return fmt.Sprintf("backend %q is not supported yet: use %s", e.Provider, strings.Join(supported(), " or "))
}

// MissingKeyError tells that the storage Secret lacks keys or has useless values for them.
type MissingKeyError struct {
	// Keys are the names.
	Keys []string
	// Held are the names of the keys that it has: one of them may be misspelt.
	Held []string
}

// maxHeld bounds how many keys of a Secret are named.
const maxHeld = 10

// Error names the keys, never values.
func (e MissingKeyError) Error() string {
	text := "read storage Secret: missing or empty: " + strings.Join(e.Keys, ", ")
	switch n := len(e.Held); {
	case n == 0:
		return text + "; it holds no keys"
	case n > maxHeld:
		return fmt.Sprintf("%s; it holds %s and %d more", text, strings.Join(e.Held[:maxHeld], ", "), n-maxHeld)
	}
	return text + "; it holds " + strings.Join(e.Held, ", ")
}

// providers are the blocks of the API.
func providers() []string {
	return []string{"local", "s3", "gcs", "azure", "swift", "b2", "rest"}
}

func supported() []string {
	names := make([]string, 0, len(All()))
	for _, s := range All() {
		names = append(names, s.Name())
	}
	slices.Sort(names)
	return names
}

func blocks(b v1alpha1.Backend) []string {
	var given []string
	for i, is := range []bool{b.Local != nil, b.S3 != nil, b.GCS != nil, b.Azure != nil, b.Swift != nil, b.B2 != nil, b.Rest != nil} {
		if is {
			given = append(given, providers()[i])
		}
	}
	return given
}

// missing returns a MissingKeyError for the keys that are absent, empty or hold a NUL byte, which
// an environment cannot carry.
func missing(secret map[string][]byte, keys ...string) error {
	var absent []string
	for _, key := range keys {
		if value := secret[key]; len(value) == 0 || slices.Contains(value, 0) {
			absent = append(absent, key)
		}
	}
	if len(absent) > 0 {
		return MissingKeyError{Keys: absent, Held: slices.Sorted(maps.Keys(secret))}
	}
	return nil
}
