package database

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names of params.
const (
	paramArgs    = "args"
	paramUser    = "user"
	paramCommand = "backupCMD"
	paramMulti   = "multiDumpArgs"
	paramWait    = "waitTimeout"
	paramSingle  = "singleTransaction"
)

// Bounds of params.
const (
	maxWait  = 24 * 60 * 60
	maxWords = 1000
)

// defaultWait is how long a server is waited for.
const defaultWait = 300

// params are the user's, and which of them something knows.
type params struct {
	values map[string]string
	known  []string
}

func (p *params) get(name, other string) string {
	p.known = append(p.known, name)
	if value, ok := p.values[name]; ok && strings.TrimSpace(value) != "" {
		return value
	}
	return other
}

func (p *params) wait() (time.Duration, error) {
	text := strings.TrimSpace(p.get(paramWait, strconv.Itoa(defaultWait)))
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 || seconds > maxWait {
		return 0, fmt.Errorf("param %s: %q is no number of seconds from 0 to %d; for example 300", paramWait, clip(text), maxWait)
	}
	return time.Duration(seconds) * time.Second, nil
}

func (p *params) boolean(name string, other bool) (bool, error) {
	text := strings.TrimSpace(p.get(name, strconv.FormatBool(other)))
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("param %s: %q is neither true nor false", name, clip(text))
	}
	return value, nil
}

// ours are params that every step of a Task has, and that say nothing to an addon.
func ours() []string {
	return []string{"outputDir", "targetVolume", "secretVolume"}
}

func (p *params) unknown(addon string) error {
	for _, name := range names(p.values) {
		if !slices.Contains(p.known, name) && !slices.Contains(ours(), name) {
			slices.Sort(p.known)
			return fmt.Errorf("param %q is not known to the addon %s here: it knows %s", clip(name), addon, strings.Join(slices.Compact(p.known), ", "))
		}
	}
	return nil
}

// flag is an argument that users may give to a program.
type flag struct {
	name string
	// short form, without dash; empty: none.
	short string
	// value tells that it takes one.
	value bool
	// refuse is why its value is refused; nil: none is.
	refuse func(value string) error
}

// parsed is a user's argument in one word, --name or --name=value, or a word that is no flag.
type parsed struct {
	name, value string
	// plain is a word of its own.
	plain bool
}

func (a parsed) word() string {
	if a.plain || a.value == "" {
		return a.name
	}
	return a.name + "=" + a.value
}

// parse splits the text of a param into words and looks each up. denied has reasons for those that people
// may expect to work.
func parse(param, text string, allowed []flag, denied map[string]string) ([]parsed, error) {
	words, err := split(text)
	if err != nil {
		return nil, fmt.Errorf("param %s: %w", param, err)
	}
	var out []parsed
	for i := 0; i < len(words); i++ {
		word := words[i]
		if !strings.HasPrefix(word, "-") {
			out = append(out, parsed{name: word, plain: true})
			continue
		}
		f, value, given := lookUp(word, allowed)
		switch {
		case f == nil:
			return nil, refusal(param, word, allowed, denied)
		case !f.value && given:
			return nil, fmt.Errorf("param %s: %q takes no value: write --%s", param, clip(word), f.name)
		case f.value && !given:
			if i++; i == len(words) {
				return nil, fmt.Errorf("param %s: %q needs a value: write --%s=<value>", param, clip(word), f.name)
			}
			value = words[i]
		}
		if f.value && value == "" {
			return nil, fmt.Errorf("param %s: %q needs a value: write --%s=<value>", param, clip(word), f.name)
		}
		if f.refuse != nil {
			if err := f.refuse(value); err != nil {
				return nil, fmt.Errorf("param %s: %q: %w", param, clip(word), err)
			}
		}
		out = append(out, parsed{name: "--" + f.name, value: value})
	}
	return out, nil
}

// lookUp finds the flag of a word: --name, --name=value, -n, -nvalue.
func lookUp(word string, allowed []flag) (f *flag, value string, given bool) {
	name, value, given := strings.Cut(word, "=")
	for i := range allowed {
		if name == "--"+allowed[i].name || allowed[i].short != "" && name == "-"+allowed[i].short {
			return &allowed[i], value, given
		}
	}
	if len(word) < 3 || strings.HasPrefix(word, "--") {
		return nil, "", false
	}
	for i := range allowed {
		if allowed[i].value && word[1:2] == allowed[i].short {
			return &allowed[i], word[2:], true
		}
	}
	return nil, "", false
}

func refusal(param, word string, allowed []flag, denied map[string]string) error {
	name, _, _ := strings.Cut(word, "=")
	// A value glued to a short flag, such as -f/tmp/x, is not repeated: it may be a password.
	if !strings.HasPrefix(word, "--") && len(name) > 2 {
		name = name[:2]
	}
	if why := denied[name]; why != "" {
		return fmt.Errorf("param %s: %q is not allowed: %s", param, clip(name), why)
	}
	known := make([]string, len(allowed))
	for i, f := range allowed {
		known[i] = "--" + f.name
		if f.value {
			known[i] += "="
		}
	}
	return fmt.Errorf("param %s: %q is not allowed: allowed are %s", param, clip(name), strings.Join(known, " "))
}

// split makes words of a text: blanks part them, quotes keep them together. Nothing is expanded.
func split(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	in := false
	for _, r := range text {
		switch {
		case r == 0:
			return nil, errors.New("must hold no NUL byte")
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case strings.ContainsRune(" \t\r\n", r):
			if in {
				words = append(words, word.String())
				word.Reset()
			}
			in = false
		default:
			word.WriteRune(r)
			in = true
		}
		if len(words) > maxWords {
			return nil, fmt.Errorf("has more than %d words", maxWords)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}

func plainWords(args []parsed) (flags, words []string) {
	for _, a := range args {
		if a.plain {
			words = append(words, a.name)
		} else {
			flags = append(flags, a.word())
		}
	}
	return flags, words
}
