package task

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func values() map[string]string {
	return map[string]string{
		"NAME": "web", "empty": "", "target.name": "draft", "output-dir": "/out", "path": "/a/b/a.tar.gz", "quote": `"}, "image": "evil`,
		"nested": "${NAME}", "wide": "äöü", "n": "1", "_x1": "ok",
	}
}

func TestSubstitute(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"no variable":                             {"plain $NAME $(NAME) $ $$ {NAME} }", "plain $NAME $(NAME) $ $$ {NAME} }"},
		"a variable among text":                   {"a/${NAME}/b", "a/web/b"},
		"a dotted name":                           {"${target.name}", "draft"},
		"a name with a hyphen":                    {"${output-dir}/x", "/out/x"},
		"a name with underscore and digit":        {"${_x1}", "ok"},
		"a value with quotes stays one value":     {"${quote}", `"}, "image": "evil`},
		"a value is not substituted again":        {"${nested}", "${NAME}"},
		"an escaped variable":                     {"$${NAME}", "${NAME}"},
		"an escaped dollar before a variable":     {"$$${NAME}", "$web"},
		"dollars that escape nothing":             {"$$ $$x ${NAME}", "$$ $$x web"},
		"a default where the variable is absent":  {"${X:=d} ${X:-d} ${X=d}", "d d d"},
		"a default where the variable is empty":   {"[${empty:=d}]", "[]"},
		"a default where the variable is present": {"${NAME:=d}", "web"},
		"an empty default":                        {"[${X:=}]", "[]"},
		"a variable as default":                   {"${X:=${NAME}}", "web"},
		"defaults inside defaults":                {"${X:=a${Y:=b${NAME}c}d}", "abwebcd"},
		"a default with spaces and slashes":       {"${args:=--x /a:b}", "--x /a:b"},
		"an image with three defaults":            {"${R:=appscode}/${I:=stash}:${T:=latest}", "appscode/stash:latest"},
		"upper and lower case":                    {"${NAME^} ${NAME^^} ${wide^^}", "Web WEB ÄÖÜ"},
		"lower case":                              {"${NAME,,} ${NAME,}", "web web"},
		"length in characters":                    {"${#wide} ${#empty}", "3 0"},
		"a substring":                             {"${NAME:1} ${NAME:0:2} ${NAME:9} ${NAME:${n}:1}", "eb we  e"},
		"a trimmed beginning":                     {"${path#*/} ${path##*/}", "a/b/a.tar.gz a.tar.gz"},
		"a trimmed end":                           {"${path%.*} ${path%%.*}", "/a/b/a.tar /a/b/a"},
		"a pattern that matches nothing":          {"${path#x}${path%x}", "/a/b/a.tar.gz/a/b/a.tar.gz"},
		"replacements":                            {`${path/a/X} ${path//a/X} ${path//\//-}`, "/X/b/a.tar.gz /X/b/X.tXr.gz -a-b-a.tar.gz"},
		"replaced ends":                           {`${path/#\/a/X} ${path/%gz/xz} ${path/#b/X}`, "X/b/a.tar.gz /a/b/a.tar.xz /a/b/a.tar.gz"},
		"a replacement by nothing":                {"${path//a} ${path///x}", "//b/.tr.gz /a/b/a.tar.gz"},
		"a replacement by a variable":             {"${path/gz/${NAME}}", "/a/b/a.tar.web"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Substitute(c.in, values())
			if err != nil || got != c.want {
				t.Fatalf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestSubstituteRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a missing value":             {"${X}", "no value for ${X}; a default is written ${NAME:=default}"},
		"all missing values":          {"${Z} ${X} ${Z:=ok} ${X} ${Y^^} ${W:=${V}}", "no value for ${V}, ${X}, ${Y}, ${Z};"},
		"an open brace":               {"a ${NAME", `read variable "${NAME": the closing } is missing`},
		"an open default":             {"${NAME:=x", "the closing } is missing"},
		"no name":                     {"${}", "expected a name"},
		"a name that is a hyphen":     {"${-x}", "expected a name"},
		"a check of a shell":          {"${NAME:?x}", "unknown operator"},
		"an alternative of a shell":   {"${NAME:+x}", "unknown operator"},
		"nothing after the colon":     {"${NAME:}", "unknown operator"},
		"a space in a name":           {"${MY NAME}", "unknown operator"},
		"an offset that is no number": {"${NAME:0:x}", "offset and length must be numbers"},
		"endless nesting":             {strings.Repeat("${a:=", 100), "nested too deep"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Substitute(c.in, values())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestVariables(t *testing.T) {
	got, err := Variables("${b} ${a} ${b} ${c:=${d}} $${e} ${f^^} $g")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "d", "f"}, got); diff != "" {
		t.Fatal(diff)
	}
	if _, err := Variables("${"); err == nil {
		t.Fatal("an open brace is accepted")
	}
}

type inner struct {
	Prefix string   `json:"prefix,omitempty"`
	List   []string `json:"list"`
}

type outer struct {
	inner   `json:",inline"`
	Inner   *inner            `json:"inner"`
	Map     map[string]string `json:"map"`
	Any     any               `json:"any"`
	Number  int               `json:"number"`
	Bytes   []byte
	private string
}

func TestSubstituteIn(t *testing.T) {
	v := outer{
		Inner: &inner{Prefix: "a/${NAME}", List: []string{"${NAME}", "x"}},
		Map:   map[string]string{"${NAME}": "${NAME}"},
		Any:   map[string]any{"k": []any{"${NAME}", 1, nil, map[string]any{"${NAME}": "${NAME}"}}}, private: "${NAME}",
	}
	want := outer{
		Inner: &inner{Prefix: "a/web", List: []string{"web", "x"}},
		Map:   map[string]string{"${NAME}": "web"},
		Any:   map[string]any{"k": []any{"web", 1, nil, map[string]any{"${NAME}": "web"}}}, private: "${NAME}",
	}
	if err := SubstituteIn(&v, "spec", values()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, v, cmp.AllowUnexported(outer{}, inner{})); diff != "" {
		t.Fatal(diff)
	}
}

func TestSubstituteInNamesFields(t *testing.T) {
	v := outer{Inner: &inner{Prefix: "${X}", List: []string{"ok", "${"}}, Map: map[string]string{"b": "${Z}", "a": "${Y}"}}
	err := SubstituteIn(&v, "spec", values())
	var got []string
	for _, f := range FieldErrors(err) {
		got = append(got, f.Field)
	}
	if diff := cmp.Diff([]string{"spec.inner.prefix", "spec.inner.list[1]", "spec.map[a]", "spec.map[b]"}, got); diff != "" {
		t.Fatal(diff)
	}
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Names[0] != "X" {
		t.Fatalf("got %v", err)
	}
	if FieldErrors(nil) != nil {
		t.Fatal("no error has field errors")
	}
}

// Who goes on after an unknown variable finds something in its place that is wrong nowhere.
func TestResolveInPutsSomethingInPlaceOfWhatCannotBeResolved(t *testing.T) {
	v := outer{Inner: &inner{Prefix: "a/${X}", List: []string{"${NAME}", "${"}}, Map: map[string]string{"a": "${Y}", "b": "$${Z}"}}
	faults, all := ResolveIn(&v, "spec", values(), "x")
	want := outer{Inner: &inner{Prefix: "x", List: []string{"web", "x"}}, Map: map[string]string{"a": "x", "b": "${Z}"}}
	if diff := cmp.Diff(want, v, cmp.AllowUnexported(outer{}, inner{})); diff != "" || len(faults) != 3 || !all {
		t.Fatalf("%v %v\n%s", faults, all, diff)
	}
	many := outer{Inner: &inner{List: slices.Repeat([]string{"${X}"}, maxErrors)}}
	if faults, all := ResolveIn(&many, "spec", values(), "x"); len(faults) != maxErrors || !all {
		t.Errorf("%d faults, all: %v", len(faults), all)
	}
	many.Inner.List = slices.Repeat([]string{"${X}"}, maxErrors+1)
	if faults, all := ResolveIn(&many, "spec", values(), "x"); len(faults) != maxErrors || all {
		t.Errorf("%d faults of one more, all: %v", len(faults), all)
	}
	long := outer{Inner: &inner{List: slices.Repeat([]string{"${big}"}, 9)}}
	if faults, all := ResolveIn(&long, "spec", map[string]string{"big": strings.Repeat("b", maxLength)}, "x"); len(faults) != 1 || all {
		t.Errorf("%v of what is too long in all, all: %v", faults, all)
	}
}

// drawTemplate makes strings that are likely to hold something of the language.
func drawTemplate() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{"$", "{", "}", "${", "${NAME}", "${X:=d}", "X", ":", "-", "/", "#", "%", `\`, "a.b", "=", "^", ",", "$$", "ä", "\xff"})
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "") })
}

func TestSubstituteChangesNothingWithoutVariables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.ReplaceAll(drawTemplate().Draw(t, "s"), "${", "$ {")
		if got, err := Substitute(s, values()); err != nil || got != s {
			t.Fatalf("%q became %q, %v", s, got, err)
		}
	})
}

func TestEscapedTextComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`([a-z${}]|\$\{)*[a-z]`).Draw(t, "s")
		if strings.Contains(s, "$$") {
			return // A run of dollars before a brace is halved; the escape of ${ is for one.
		}
		if got, err := Substitute(strings.ReplaceAll(s, "${", "$${"), nil); err != nil || got != s {
			t.Fatalf("%q came back as %q, %v", s, got, err)
		}
	})
}

func TestVariablesAreWhatSubstituteNeeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawTemplate().Draw(t, "s")
		names, err := Variables(s)
		if err != nil {
			return
		}
		all := map[string]string{}
		for _, n := range names {
			all[n] = "1"
		}
		var missing *MissingError
		if _, err := Substitute(s, all); errors.As(err, &missing) {
			t.Fatalf("%q needs %v, but also %v", s, names, missing.Names)
		}
	})
}

func FuzzSubstitute(f *testing.F) {
	for _, s := range []string{"${NAME}", "$${X}", "${X:=${Y:-d}}", "${path//a/b}", "${path%%*.}", "${#x}", "${NAME:1:2}", `${a/\//\\}`, "${NAME#[}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Substitute(s, values())
		if err == nil && !strings.Contains(s, "${") && got != s {
			t.Fatalf("%q became %q", s, got)
		}
		if _, verr := Variables(s); (verr != nil) && err == nil {
			t.Fatalf("%q is substituted to %q, but its variables cannot be read: %v", s, got, verr)
		}
	})
}
