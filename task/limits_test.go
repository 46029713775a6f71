package task

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWhatComesOutIsBounded(t *testing.T) {
	big := strings.Repeat("a", maxLength)
	values := map[string]string{"big": big, "over": big + "a", "half": big[:maxLength/2+1], "a": "a"}
	for name, c := range map[string]struct {
		in  string
		err bool
	}{
		"as long as may be":               {"${big}", false},
		"one byte more":                   {"${big}a", true},
		"a value that is too long":        {"${over:0:1}", true},
		"two values":                      {"${half}${half}", true},
		"a default of two values":         {"${x:=${half}${half}}", true},
		"a replacement that grows":        {"${half//a/${half}}", true},
		"a replacement that does not":     {"${big//a/b}", false},
		"one replacement":                 {"${half/a/${half}}", false},
		"another case that is longer":     {"${big^^}", false},
		"a beginning of something longer": {"${big:0:5}", false},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Substitute(c.in, values)
			var long *TooLongError
			if errors.As(err, &long) != c.err || len(out) > maxLength || err != nil && len(err.Error()) > 500 {
				t.Fatalf("%d bytes, %v", len(out), err)
			}
		})
	}
}

func TestAllStringsOfADocumentAreBounded(t *testing.T) {
	doc := make([]string, 1000)
	for i := range doc {
		doc[i] = "${v}"
	}
	err := SubstituteIn(&doc, "spec", map[string]string{"v": strings.Repeat("a", 64<<10)})
	var long *TooLongError
	if !errors.As(err, &long) || long.Limit != maxTotal || len(FieldErrors(err)) != 1 || FieldErrors(err)[0].Field != "spec[16]" {
		t.Fatalf("got %v", err)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	doc := map[string]string{long: "${" + long + "}", "b": "${" + long}
	for i := range 1000 {
		doc["c"+fmt.Sprint(i)] = fmt.Sprintf("${a%d} ${b%d}", i, i)
	}
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "${n%d}", i)
	}
	doc["d"] = many.String()
	for name, err := range map[string]error{"resolved": SubstituteIn(&doc, "spec", nil), "read": CheckIn(&doc, "spec")} {
		if n := len(FieldErrors(err)); err == nil || n > maxErrors || len(err.Error()) > 32<<10 {
			t.Errorf("%s: %d errors of %d bytes", name, n, len(err.Error()))
		}
	}
	if _, err := Substitute(strings.Repeat("${a}", maxVariables+1), map[string]string{"a": ""}); err == nil {
		t.Error("any number of variables may be in one string")
	}
}

// A value that a tenant writes is tried at every character.
func TestPatternsEnd(t *testing.T) {
	values := map[string]string{"v": strings.Repeat("a", maxGlobbed), "long": strings.Repeat("a", maxGlobbed+1), "p": strings.Repeat("*a", maxGlobbed/2-1) + "b"}
	begin := time.Now()
	for _, op := range []string{"#", "##", "%", "%%"} {
		if out, err := Substitute("${v"+op+"${p}}", values); err != nil || out != values["v"] {
			t.Errorf("%s: %v", op, err)
		}
		if _, err := Substitute("${long"+op+"x}", values); err == nil {
			t.Errorf("%s is tried on any length", op)
		}
	}
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("it took %s", d)
	}
}
