package leak

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const secret = `pass/word+with "all" <of it> & ü`

func search(t *testing.T, values map[string]string) *Secrets {
	t.Helper()
	s := &Secrets{}
	for name, value := range values {
		if err := s.Add(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func encoded(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestASecretIsFoundHoweverItIsWritten(t *testing.T) {
	for name, text := range map[string]string{
		"alone":                       secret,
		"in the middle of a line":     "level=INFO msg=" + secret + " end",
		"in an environment":           "A=b\x00RESTIC_PASSWORD=" + secret + "\x00C=d",
		"in an argument":              "restic\x00--password=" + secret,
		"in JSON":                     encoded(t, map[string]string{"status": "wrong: " + secret}),
		"in a log of JSON in JSON":    encoded(t, map[string]string{"msg": `{"key":"` + secret + `"}`}),
		"in Go's quotes":              fmt.Sprintf("read %q", secret),
		"in a query":                  "https://s3.example.com/?" + url.Values{"key": {secret}}.Encode(),
		"in a path":                   "https://s3.example.com/" + url.PathEscape(secret),
		"in a URL's user":             (&url.URL{Scheme: "https", User: url.UserPassword("me", secret), Host: "s3.example.com"}).String(),
		"in a Secret":                 encoded(t, map[string]any{"data": map[string][]byte{"RESTIC_PASSWORD": []byte(secret)}}),
		"in base64 with a user":       base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		"in base64 with another user": base64.StdEncoding.EncodeToString([]byte("user1:" + secret + "\n")),
		"in base64 for URLs":          base64.RawURLEncoding.EncodeToString([]byte(`{"p":"` + secret + `"}`)),
		"in hexadecimal":              hex.EncodeToString([]byte("x" + secret)),
		"in a dump of bytes":          fmt.Sprintf("%X", secret),
	} {
		t.Run(name, func(t *testing.T) {
			found := search(t, map[string]string{"the password": secret}).In([]byte(text))
			if len(found) == 0 {
				t.Fatalf("not found in %s", text)
			}
			for _, f := range found {
				if !strings.HasPrefix(f, "the password, ") || strings.Contains(f, "word+with") {
					t.Errorf("says %s", f)
				}
			}
		})
	}
}

func TestWhatIsNoSecretIsNotFound(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                "",
		"a name of the key":      "RESTIC_PASSWORD is missing",
		"its beginning":          secret[:len(secret)-1],
		"another":                strings.ToUpper(secret),
		"base64 of another":      base64.StdEncoding.EncodeToString([]byte("user:" + strings.ToUpper(secret))),
		"hexadecimal of another": hex.EncodeToString([]byte(strings.ToUpper(secret))),
	} {
		t.Run(name, func(t *testing.T) {
			if found := search(t, map[string]string{"the password": secret}).In([]byte(text)); len(found) > 0 {
				t.Errorf("found in %q: %s", text, found)
			}
		})
	}
}

func TestASecretBesideAnotherIsNotShownEither(t *testing.T) {
	found := search(t, map[string]string{"the key": "AKIA-0123456789", "the password": "hunter2-hunter2"}).In([]byte("AKIA-0123456789:hunter2-hunter2"))
	if len(found) != 2 {
		t.Fatalf("found %s", found)
	}
	for _, f := range found {
		if strings.Contains(f, "AKIA") || strings.Contains(f, "hunter2") {
			t.Errorf("says %s", f)
		}
	}
}

func TestAShortSecretIsRefused(t *testing.T) {
	if err := (&Secrets{}).Add("the password", "1234567"); err == nil || strings.Contains(err.Error(), "1234567") {
		t.Errorf("got %v", err)
	}
}

func TestASecretIsFoundBetweenAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := string(rapid.SliceOfN(rapid.Byte(), 12, 40).Draw(t, "value"))
		before, after := rapid.SliceOf(rapid.Byte()).Draw(t, "before"), rapid.SliceOf(rapid.Byte()).Draw(t, "after")
		s := &Secrets{}
		if err := s.Add("it", value); err != nil {
			t.Fatal(err)
		}
		whole := append(append(before, value...), after...)
		for _, text := range []string{
			string(whole), base64.StdEncoding.EncodeToString(whole), base64.URLEncoding.EncodeToString(whole), hex.EncodeToString(whole),
		} {
			if len(s.In([]byte(text))) == 0 {
				t.Fatalf("not found in %q", text)
			}
		}
	})
}
