package scan_test

import (
	"encoding/json"
	"testing"

	"github.com/seed-731df569/stash/mutators/scan"
)

func TestWalk(t *testing.T) {
	r := scan.New([]byte(` { "a" : null , "b":[1, "x\"]", {"c":[ ]}], "d":"p\u0041q","e":true, "f":{} } `))
	if !r.Object() {
		t.Fatal("no object")
	}
	var got []string
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "a":
			if !r.Null() {
				t.Error("a is null")
			}
		case "b":
			for in := r.Array(); in && r.Element(); {
				got = append(got, string(r.Raw()))
			}
		case "d":
			got = append(got, string(r.Text()))
		case "e":
			if !r.Bool() {
				t.Error("e is true")
			}
		default:
			r.Skip()
		}
	}
	if r.Bad() || len(got) != 4 || got[1] != `"x\"]"` || got[2] != `{"c":[ ]}` || got[3] != "pAq" {
		t.Fatalf("bad=%v %q", r.Bad(), got)
	}
}

func TestFaultsAreToldAndEnd(t *testing.T) {
	for _, doc := range []string{``, `{`, `{"a"`, `{"a":`, `{"a":1,`, `{"a" 1}`, `{,}`, `{"a":[1,]}`, `{"a":"x`, `{"a":{"b":1}`, `{"a":}`} {
		r := scan.New([]byte(doc))
		walk(&r)
		if !r.Bad() {
			t.Errorf("%q: no fault told", doc)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c\\"}],"d":null}`))
	f.Add([]byte(`{"a":[}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := scan.New(data)
		n := walk(&r)
		if n > len(data)+1 {
			t.Fatalf("%d values in %d bytes", n, len(data))
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) == nil && object != nil && r.Bad() {
			t.Fatal("fault in valid JSON")
		}
	})
}

// walk visits every value and returns their number.
func walk(r *scan.Reader) int {
	n := 1
	switch r.Peek() {
	case '{':
		r.Object()
		for _, ok := r.Key(); ok; _, ok = r.Key() {
			n += walk(r)
		}
	case '[':
		for in := r.Array(); in && r.Element(); {
			n += walk(r)
		}
	case '"':
		r.Text()
	default:
		r.Skip()
	}
	return n
}
