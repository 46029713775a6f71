// Package manifest reads objects from YAML as strictly as Stash does: an unknown field, a field
// given twice or one of another type is an error.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	appcatalog "github.com/seed-731df569/stash/api/appcatalog/v1alpha1"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1alpha2"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Parse splits YAML into its objects; documents without content are left out.
func Parse(text []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("split documents: %w", err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &object.Object); err != nil {
			return nil, fmt.Errorf("decode document %d: %w", len(objects)+1, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// Typed decodes an object into its Go type. Kinds that neither Stash nor Kubernetes has are an
// error.
func Typed(object *unstructured.Unstructured) (runtime.Object, error) {
	typed, err := New(object.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode %s %q: %w", object.GetKind(), object.GetName(), err)
	}
	if err := yaml.UnmarshalStrict(text, typed); err != nil {
		return nil, fmt.Errorf("decode %s %q: %w", object.GetKind(), object.GetName(), err)
	}
	return typed, nil
}

// New returns an empty object of a kind.
func New(kind schema.GroupVersionKind) (runtime.Object, error) {
	if kind.Group == api.Group && kind.Version == "v1alpha2" && kind.Kind == "Repository" {
		return &v1alpha2.Repository{}, nil
	}
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), v1alpha1.AddToScheme(s), v1beta1.AddToScheme(s), appcatalog.AddToScheme(s)); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	object, err := s.New(kind)
	if err != nil {
		return nil, fmt.Errorf("find type of %s: %w", kind, err)
	}
	return object, nil
}
