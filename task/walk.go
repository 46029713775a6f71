package task

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// FieldError is what is wrong in one field of a value.
type FieldError struct {
	// Field is the path of the string, for example spec.backend.s3.prefix.
	Field string
	// Err is a *MissingError, a *SyntaxError or a *TooLongError.
	Err error
}

// Error names the field.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *FieldError) Unwrap() error { return e.Err }

// SubstituteIn replaces the variables in every string inside *v: fields of structs, elements of
// slices, values of maps but not their keys, and decoded JSON (any). Fields are named by their JSON
// names below root, which may be empty. The errors, one for each field that cannot be resolved, up to
// a limit, are joined in the order of the fields; v is then changed in part and must not be used.
// Callers that share v copy it first.
func SubstituteIn[T any](v *T, root string, values map[string]string) error {
	w := walker{values: values, left: maxTotal}
	w.root(v, root)
	return errors.Join(w.errs...)
}

// ResolveIn is SubstituteIn for whoever looks at the rest of *v too: a string that cannot be resolved
// becomes instead, so that it makes no further faults. All is false where not each of those is among the
// errors, or where the whole became too long: *v must then not be used.
func ResolveIn[T any](v *T, root string, values map[string]string, instead string) (faults []*FieldError, all bool) {
	w := walker{values: values, left: maxTotal, instead: &instead}
	w.root(v, root)
	return FieldErrors(errors.Join(w.errs...)), !w.more && w.left >= 0
}

// CheckIn returns an error of SubstituteIn for every string inside v whose variables cannot be read,
// whatever their values. V is not changed.
func CheckIn[T any](v *T, root string) error {
	w := walker{left: maxTotal, check: true}
	w.root(v, root)
	return errors.Join(w.errs...)
}

// FieldErrors returns the field errors in an error of SubstituteIn.
func FieldErrors(err error) []*FieldError {
	var out []*FieldError
	// errors.Join has no other way in.
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			out = append(out, FieldErrors(e)...)
		}
		return out
	}
	if f, ok := errors.AsType[*FieldError](err); ok {
		out = append(out, f)
	}
	return out
}

type walker struct {
	values map[string]string
	errs   []error
	// left is how many bytes all strings together may still have.
	left int
	// check only reads variables, and changes nothing.
	check bool
	// instead is put where a string cannot be resolved; nil: it stays.
	instead *string
	// more tells that there were errors beyond the limit.
	more bool
}

// root walks through what v points at.
func (w *walker) root(v any, path string) { w.walk(reflect.ValueOf(v).Elem(), path) }

func (w *walker) walk(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.String:
		w.leaf(v, path)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() {
				w.walk(v.Field(i), join(path, f))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			w.walk(v.Elem(), path)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			w.walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		w.mapping(v, path)
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		elem := reflect.New(v.Elem().Type()).Elem()
		elem.Set(v.Elem())
		w.walk(elem, path)
		if !w.check {
			v.Set(elem)
		}
	default:
	}
}

func (w *walker) leaf(v reflect.Value, path string) {
	in := v.String()
	if w.check {
		if _, err := Variables(in); err != nil {
			w.fail(path, err)
		}
		return
	}
	if w.left < 0 {
		return // said once
	}
	out, err := Substitute(in, w.values)
	switch w.left -= len(out); {
	case err != nil:
		w.fail(path, err)
		if w.instead != nil {
			v.SetString(*w.instead)
		}
	case w.left < 0:
		w.fail(path, &TooLongError{Limit: maxTotal})
	case out != in:
		v.SetString(out)
	}
}

func (w *walker) fail(path string, err error) {
	if len(w.errs) == maxErrors {
		w.more = true
		return
	}
	w.errs = append(w.errs, &FieldError{Field: path, Err: err})
}

// mapping walks the values of a map in the order of its keys, so that errors come in one order.
func (w *walker) mapping(v reflect.Value, path string) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for _, k := range keys {
		elem := reflect.New(v.Type().Elem()).Elem()
		elem.Set(v.MapIndex(k))
		w.walk(elem, fmt.Sprintf("%s[%s]", path, shorten(fmt.Sprint(k))))
		if !w.check {
			v.SetMapIndex(k, elem)
		}
	}
}

// join appends a field's JSON name; embedded structs without one add nothing.
func join(path string, f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case name == "" && f.Anonymous:
		return path
	case name == "":
		name = f.Name
	}
	if path == "" {
		return name
	}
	return path + "." + name
}
