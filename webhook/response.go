package webhook

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/mattbaird/jsonpatch"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// answer is what a handler decided.
type answer struct {
	reason   Reason
	patch    []jsonpatch.JsonPatchOperation
	warnings []string
	// status is set where the request is refused.
	status *metav1.Status
}

func (a *answer) decision() Decision {
	switch {
	case a.status != nil:
		return Denied
	case len(a.patch) > 0:
		return Patched
	}
	return Allowed
}

func allow(reason Reason, warnings ...string) answer {
	return answer{reason: reason, warnings: warnings}
}

// deny refuses with a sentence for a person.
func deny(reason Reason, format string, args ...any) answer {
	return answer{reason: reason, status: &metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: fmt.Sprintf(format, args...),
	}}
}

// unavailable refuses for now: whoever asks should ask again.
func unavailable(reason Reason, format string, args ...any) answer {
	return answer{reason: reason, status: &metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable,
		Message: fmt.Sprintf(format, args...),
	}}
}

// invalid refuses with all faults at once, in kubectl's form.
func invalid(v *review, faults field.ErrorList, warnings []string) answer {
	status := apierrors.NewInvalid(schema.GroupKind{Group: v.group, Kind: v.kind}, v.name, faults).Status()
	return answer{reason: Invalid, warnings: warnings, status: &status}
}

// write appends the AdmissionReview that answers the request with the UID.
func (a *answer) write(dst []byte, uid string) ([]byte, error) {
	dst = append(dst, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`...)
	dst, err := appendJSON(dst, uid)
	if err != nil {
		return nil, err
	}
	dst = append(dst, `,"allowed":`...)
	dst = strconv.AppendBool(dst, a.status == nil)
	if a.status != nil {
		dst = append(dst, `,"status":`...)
		if dst, err = appendJSON(dst, a.status); err != nil {
			return nil, err
		}
	}
	if len(a.warnings) > 0 {
		dst = append(dst, `,"warnings":`...)
		if dst, err = appendJSON(dst, short(a.warnings)); err != nil {
			return nil, err
		}
	}
	if len(a.patch) > 0 && a.status == nil {
		patch, err := appendPatch(make([]byte, 0, patchSize(a.patch)), a.patch)
		if err != nil {
			return nil, err
		}
		dst = append(dst, `,"patchType":"JSONPatch","patch":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, patch)
		dst = append(dst, '"')
	}
	return append(dst, `}}`...), nil
}

// size is about how many bytes write appends.
func (a *answer) size() int { return 256 + patchSize(a.patch)*4/3 }

func patchSize(patch []jsonpatch.JsonPatchOperation) int {
	n := 2
	for i := range patch {
		n += 64 + len(patch[i].Path)
		if raw, ok := patch[i].Value.(json.RawMessage); ok {
			n += len(raw)
		}
	}
	return n
}

// appendPatch encodes operations. Their values are rendered already: the operation's own encoding
// would check and copy them again.
func appendPatch(dst []byte, patch []jsonpatch.JsonPatchOperation) ([]byte, error) {
	dst = append(dst, '[')
	for i := range patch {
		op := &patch[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, `{"op":"`...), op.Operation...), `","path":"`...)
		dst = append(append(dst, op.Path...), '"')
		switch raw, ok := op.Value.(json.RawMessage); {
		case ok:
			dst = append(append(dst, `,"value":`...), raw...)
		case op.Value != nil:
			return nil, fmt.Errorf("encode the patch: the value at %s is not rendered", op.Path)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}

func appendJSON(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode the response: %w", err)
	}
	return append(dst, b...), nil
}

// Limits on warnings, since the API server cuts them once they are longer than 4096 characters together.
const (
	maxWarning  = 1000
	maxWarnings = 20
)

// short cuts warnings so that the API server shows them.
func short(warnings []string) []string {
	var out []string
	for _, w := range warnings {
		if len(out) == maxWarnings {
			break
		}
		if len(w) > maxWarning {
			w = w[:maxWarning] + "..."
		}
		out = append(out, w)
	}
	return out
}

// list joins names, not too many of them.
func list(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
