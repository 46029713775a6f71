package mutators

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/mattbaird/jsonpatch"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/mutators/scan"
)

// Stamp are the values of our two labels on a pod template; an empty one is no label.
type Stamp struct {
	Inject  string `json:"inject,omitempty"`
	Restore string `json:"restore,omitempty"`
}

// ReadStamp returns the labels of a workload's pod template. It reports false where the bytes are no
// workload with a pod template.
func ReadStamp(raw []byte) (Stamp, bool) {
	t, ok := readTemplate(raw)
	return t.stamp, ok
}

// Workload returns the operations that give a workload's pod template the labels of want: adding,
// changing and removing, and nothing else.
func Workload(raw []byte, want Stamp) ([]jsonpatch.JsonPatchOperation, Reason) {
	t, ok := readTemplate(raw)
	switch {
	case !ok:
		return nil, Malformed
	case t.stamp == want:
		return nil, AlreadyStamped
	case !t.labels:
		return t.newLabels(want), Stamped
	}
	var ops []jsonpatch.JsonPatchOperation
	ops = label(ops, api.LabelInject, t.stamp.Inject, want.Inject, t.injectThere)
	ops = label(ops, api.LabelRestore, t.stamp.Restore, want.Restore, t.restoreThere)
	return ops, Stamped
}

const templateLabels = "/spec/template/metadata/labels"

func label(ops []jsonpatch.JsonPatchOperation, key, have, want string, there bool) []jsonpatch.JsonPatchOperation {
	path := templateLabels + "/" + strings.ReplaceAll(key, "/", "~1")
	switch {
	case have == want:
		return ops
	case want != "":
		return append(ops, jsonpatch.JsonPatchOperation{Operation: "add", Path: path, Value: text(want)})
	case there:
		return append(ops, jsonpatch.JsonPatchOperation{Operation: "remove", Path: path})
	}
	return ops
}

// template is what was found of a pod template's metadata.
type template struct {
	stamp                     Stamp
	injectThere, restoreThere bool
	metadata, labels          bool // objects, neither missing nor null
}

func (t template) newLabels(want Stamp) []jsonpatch.JsonPatchOperation {
	var members []string
	for _, l := range [][2]string{{api.LabelInject, want.Inject}, {api.LabelRestore, want.Restore}} {
		if l[1] != "" {
			members = append(members, string(text(l[0]))+":"+string(text(l[1])))
		}
	}
	labels := "{" + strings.Join(slices.Clip(members), ",") + "}"
	if t.metadata {
		return []jsonpatch.JsonPatchOperation{add(templateLabels, json.RawMessage(labels))}
	}
	return []jsonpatch.JsonPatchOperation{add("/spec/template/metadata", json.RawMessage(`{"labels":`+labels+`}`))}
}

// text encodes a label's key or value; no string fails.
func text(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`""`)
	}
	return b
}

func readTemplate(raw []byte) (t template, found bool) {
	r := scan.New(raw)
	descend(&r, "spec", func() {
		descend(&r, "template", func() {
			found = r.Peek() == '{'
			descend(&r, "metadata", func() {
				t.metadata = r.Peek() == '{'
				descend(&r, "labels", func() {
					t.labels = r.Peek() == '{'
					t.readLabels(&r)
				})
			})
		})
	})
	return t, found && !r.Bad()
}

// descend reads the object here and calls read at the value of the key.
func descend(r *scan.Reader, want string, read func()) {
	if !r.Object() {
		return
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		if string(key) == want {
			read()
		} else {
			r.Skip()
		}
	}
}

func (t *template) readLabels(r *scan.Reader) {
	if !r.Object() {
		return
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case api.LabelInject:
			t.stamp.Inject, t.injectThere = string(r.Text()), true
		case api.LabelRestore:
			t.stamp.Restore, t.restoreThere = string(r.Text()), true
		default:
			r.Skip()
		}
	}
}
