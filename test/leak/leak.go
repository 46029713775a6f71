// Package leak finds secrets where they do not belong: as they are, and as JSON, URLs, base64 and the
// like write them. Tests give it all that a run has left behind. It says which secret it found, how that
// was written and what stands around it, and repeats no secret.
package leak

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Shortest is the least length of a secret: a shorter one would be found in what is none.
const Shortest = 8

// around is how much is shown on both sides of what was found.
const around = 60

// Secrets are those that are looked for. The zero value holds none; it may be used by several goroutines.
type Secrets struct {
	mu    sync.Mutex
	forms []form
}

// form is one way to write one secret.
type form struct{ secret, way, text string }

// Add adds a secret, under a name that says which it is.
func (s *Secrets) Add(name, value string) error {
	if len(value) < Shortest {
		return fmt.Errorf("add secret %q: it has %d bytes, and what is shorter than %d is found everywhere", name, len(value), Shortest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range ways(value) {
		known := slices.ContainsFunc(s.forms, func(k form) bool { return k.text == f.text })
		if !known {
			f.secret = name
			s.forms = append(s.forms, f)
		}
	}
	return nil
}

// In returns a sentence for each secret that stands in a text; nothing where there is none.
func (s *Secrets) In(text []byte) []string {
	s.mu.Lock()
	forms := slices.Clone(s.forms)
	s.mu.Unlock()
	var found []string
	for _, f := range forms {
		if i := bytes.Index(text, []byte(f.text)); i >= 0 {
			end := i + len(f.text)
			context := string(text[max(0, i-around):i]) + "<here>" + string(text[end:min(len(text), end+around)])
			for _, other := range forms {
				context = strings.ReplaceAll(context, other.text, "<"+other.secret+">")
			}
			found = append(found, fmt.Sprintf("%s, %s: %q", f.secret, f.way, context))
		}
	}
	return found
}

// ways are the ways to write a secret, each text once.
func ways(value string) []form {
	all := []form{{way: "as it is", text: value}}
	add := func(way, text string) {
		if len(text) >= Shortest && !slices.ContainsFunc(all, func(f form) bool { return f.text == text }) {
			all = append(all, form{way: way, text: text})
		}
	}
	if text, err := json.Marshal(value); err == nil {
		add("in JSON", strings.Trim(string(text), `"`))
	}
	add("in quotes", strings.Trim(strconv.Quote(value), `"`))
	add("in a URL's query", url.QueryEscape(value))
	add("in a URL's path", url.PathEscape(value))
	add("in a URL's user", strings.TrimPrefix(url.UserPassword("", value).String(), ":"))
	add("in hexadecimal", hex.EncodeToString([]byte(value)))
	add("in hexadecimal", strings.ToUpper(hex.EncodeToString([]byte(value))))
	for shift := range 3 {
		add("in base64", middle(base64.RawStdEncoding, value, shift))
		add("in base64", middle(base64.RawURLEncoding, value, shift))
	}
	return all
}

// middle is what base64 makes of a value that begins shift bytes into a group of three, without the
// characters that depend on its neighbours too.
func middle(encoding *base64.Encoding, value string, shift int) string {
	text := encoding.EncodeToString(append(make([]byte, shift), value...))
	first := (shift*8 + 5) / 6
	last := (shift + len(value)) * 8 / 6
	return text[first:last]
}
