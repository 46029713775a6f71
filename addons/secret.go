package addons

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	appcatalog "github.com/seed-731df569/stash/api/appcatalog/v1alpha1"
)

const (
	// maxSecret is what the API server takes as a Secret.
	maxSecret = 1 << 20
	// maxTransforms is more than anybody writes by hand.
	maxTransforms = 64
)

// Transform returns a Secret's data changed by transforms, one after the other; at is their path. Others
// holds the data of the Secrets that addKeysFrom names, as far as they exist. Keys that are added replace
// those of the same name; a key to be removed may be missing, one to be renamed may not. The error names
// the transform that fails by its index, and keys, never a value. Nothing that is passed in is changed.
func Transform(data map[string][]byte, transforms []appcatalog.SecretTransform, others map[string]map[string][]byte, at *field.Path) (map[string][]byte, *field.Error) {
	if len(transforms) > maxTransforms {
		return nil, field.TooMany(at, len(transforms), maxTransforms)
	}
	out := maps.Clone(data)
	if out == nil {
		out = map[string][]byte{}
	}
	for i := range transforms {
		at := at.Index(i)
		if err := apply(out, &transforms[i], others, at); err != nil {
			return nil, err
		}
		if size(out) > maxSecret {
			return nil, field.TooLong(at, field.OmitValueType{}, maxSecret)
		}
	}
	for key, value := range out {
		out[key] = slices.Clone(value)
	}
	return out, nil
}

func size(data map[string][]byte) int {
	n := 0
	for key, value := range data {
		n += len(key) + len(value)
	}
	return n
}

func apply(data map[string][]byte, t *appcatalog.SecretTransform, others map[string]map[string][]byte, at *field.Path) *field.Error {
	given := 0
	for _, is := range []bool{t.RenameKey != nil, t.AddKey != nil, t.AddKeysFrom != nil, t.RemoveKey != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return field.Invalid(at, field.OmitValueType{}, "exactly one of renameKey, addKey, addKeysFrom, removeKey must be given; for several changes write several transforms")
	case t.RenameKey != nil:
		return rename(data, t.RenameKey, at.Child("renameKey"))
	case t.AddKey != nil:
		return add(data, t.AddKey, at.Child("addKey"))
	case t.AddKeysFrom != nil:
		return addFrom(data, t.AddKeysFrom, others, at.Child("addKeysFrom", "secretRef", "name"))
	}
	delete(data, t.RemoveKey.Key)
	return nil
}

func rename(data map[string][]byte, t *appcatalog.RenameKey, at *field.Path) *field.Error {
	value, ok := data[t.From]
	if !ok {
		return field.Invalid(at.Child("from"), shorten(t.From), "the Secret has no such key here; "+held(data))
	}
	if err := keyName(t.To, at.Child("to")); err != nil {
		return err
	}
	delete(data, t.From)
	data[t.To] = value
	return nil
}

func add(data map[string][]byte, t *appcatalog.AddKey, at *field.Path) *field.Error {
	if err := keyName(t.Key, at.Child("key")); err != nil {
		return err
	}
	data[t.Key] = t.Value
	if t.StringValue != nil {
		data[t.Key] = []byte(*t.StringValue)
	}
	return nil
}

func addFrom(data map[string][]byte, t *appcatalog.AddKeysFrom, others map[string]map[string][]byte, at *field.Path) *field.Error {
	if t.SecretRef.Name == "" {
		return field.Required(at, "the Secret, in the namespace of the AppBinding, whose keys are added")
	}
	other, ok := others[t.SecretRef.Name]
	if !ok {
		return field.Invalid(at, shorten(t.SecretRef.Name), "there is no such Secret in the namespace of the AppBinding: create it, or name another one")
	}
	maps.Copy(data, other)
	return nil
}

func keyName(key string, at *field.Path) *field.Error {
	if len(validation.IsConfigMapKey(key)) > 0 {
		return field.Invalid(at, shorten(key), "must be the name of a Secret's key: letters, digits, dots, hyphens and underscores; for example password")
	}
	return nil
}

// Bounds of what a message repeats.
const (
	maxHeld  = 10
	maxShown = 64
)

// held names the keys that there are.
func held(data map[string][]byte) string {
	names := slices.Sorted(maps.Keys(data))
	more := ""
	if len(names) > maxHeld {
		names, more = names[:maxHeld], fmt.Sprintf(" and %d more", len(data)-maxHeld)
	}
	for i := range names {
		names[i] = shorten(names[i])
	}
	if len(names) == 0 {
		return "it has none"
	}
	return fmt.Sprintf("it has %q%s", names, more)
}

func shorten(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	return s
}
