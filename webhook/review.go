package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seed-731df569/stash/mutators/scan"
)

// maxBody is above what the API server can send: object and old object of at most 3 MiB each.
const maxBody = 7 << 20

var (
	errNoReview = errors.New("the request is no AdmissionReview of admission.k8s.io/v1 with a UID")
	errTooLarge = fmt.Errorf("the request is larger than %d bytes", maxBody)
)

// review is an AdmissionReview's request. Its slices point into the body.
type review struct {
	uid                  string
	group, version, kind string
	resource             string
	operation            string
	namespace, name      string
	dryRun               bool
	object, oldObject    []byte
	user                 []byte
	// policy is the one that the path names.
	policy string
}

// readBody reads the request at once where its length is known.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, fmt.Errorf("read the request: %w", err)
		}
		return body, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	return body, nil
}

// readReview finds the request in the body.
func readReview(body []byte) (review, error) {
	r := scan.New(body)
	var v review
	var apiVersion, kind string
	if !r.Object() {
		return v, errNoReview
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "apiVersion":
			apiVersion = string(r.Text())
		case "kind":
			kind = string(r.Text())
		case "request":
			v.read(&r)
		default:
			r.Skip()
		}
	}
	if r.Bad() || apiVersion != "admission.k8s.io/v1" || kind != "AdmissionReview" || v.uid == "" {
		return v, errNoReview
	}
	return v, nil
}

func (v *review) read(r *scan.Reader) {
	if !r.Object() {
		return
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "uid":
			v.uid = string(r.Text())
		case "kind":
			v.readKind(r)
		case "resource":
			v.readResource(r)
		case "operation":
			v.operation = string(r.Text())
		case "namespace":
			v.namespace = string(r.Text())
		case "name":
			v.name = string(r.Text())
		case "dryRun":
			v.dryRun = r.Bool()
		case "object":
			v.object = value(r)
		case "oldObject":
			v.oldObject = value(r)
		case "userInfo":
			v.user = value(r)
		default:
			r.Skip()
		}
	}
}

func (v *review) readKind(r *scan.Reader) {
	if !r.Object() {
		return
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "group":
			v.group = string(r.Text())
		case "version":
			v.version = string(r.Text())
		case "kind":
			v.kind = string(r.Text())
		default:
			r.Skip()
		}
	}
}

func (v *review) readResource(r *scan.Reader) {
	if !r.Object() {
		return
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		if string(key) == "resource" {
			v.resource = string(r.Text())
		} else {
			r.Skip()
		}
	}
}

// value returns the bytes of a value, nil for null.
func value(r *scan.Reader) []byte {
	if r.Null() {
		return nil
	}
	return r.Raw()
}

// decode reads the object and, on an update, the old one into typed objects. The kind that the
// object names itself must be that of the request: one that disagrees was crafted.
func (v *review) decode(object, oldObject runtime.Object) error {
	for _, side := range []struct {
		raw  []byte
		into runtime.Object
	}{{v.object, object}, {v.oldObject, oldObject}} {
		if side.raw == nil || side.into == nil {
			continue
		}
		if err := json.Unmarshal(side.raw, side.into); err != nil {
			return fmt.Errorf("decode the %s: %w", v.kind, err)
		}
		if got := side.into.GetObjectKind().GroupVersionKind(); got.Kind != v.kind || got.Group != v.group {
			return fmt.Errorf("decode the %s: the object says that it is a %s of group %q", v.kind, got.Kind, got.Group)
		}
	}
	return nil
}

// userInfo decodes who asks.
func (v *review) userInfo() (authenticationv1.UserInfo, error) {
	var u authenticationv1.UserInfo
	if v.user == nil {
		return u, nil
	}
	if err := json.Unmarshal(v.user, &u); err != nil {
		return u, fmt.Errorf("decode the user: %w", err)
	}
	return u, nil
}
