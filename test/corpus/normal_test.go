package corpus_test

import (
	"maps"
	"reflect"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// normal returns a value without what JSON may say or leave out: empty fields go, durations and
// quantities get their one spelling.
func normal(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := maps.Clone(v)
		for key, item := range v {
			if out[key] = normal(item); out[key] == nil {
				delete(out, key)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			out = append(out, normal(item))
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case string:
		return normalString(v)
	case float64:
		return normal(int64(v)) // the API has no fractions
	}
	if value == nil || reflect.ValueOf(value).IsZero() {
		return nil
	}
	return value
}

func normalString(s string) any {
	if s == "" {
		return nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return d.String()
	}
	if q, err := resource.ParseQuantity(s); err == nil {
		return q.String()
	}
	return s
}

func TestNormal(t *testing.T) {
	in := map[string]any{"a": "30m", "b": "1024Mi", "c": false, "d": map[string]any{"e": ""}, "f": []any{float64(3), ""}, "g": "text"}
	want := map[string]any{"a": "30m0s", "b": "1Gi", "f": []any{int64(3), nil}, "g": "text"}
	if got := normal(in); !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}
