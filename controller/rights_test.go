package controller

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/validators"
)

// reviews answers SubjectAccessReviews.
type reviews struct {
	client.Writer
	status authorizationv1.SubjectAccessReviewStatus
	err    error
	asked  []authorizationv1.SubjectAccessReviewSpec
}

func (r *reviews) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	review, ok := o.(*authorizationv1.SubjectAccessReview)
	if !ok {
		return errors.New("no review")
	}
	r.asked = append(r.asked, review.Spec)
	review.Status = r.status
	return r.err
}

func TestTheWholeUserIsAskedAbout(t *testing.T) {
	user := authenticationv1.UserInfo{
		Username: "tenant", UID: "42", Groups: []string{"team"},
		Extra: map[string]authenticationv1.ExtraValue{"example.com/scopes": {"a", "b"}},
	}
	access := validators.Access{Verb: "create", Group: "g", Resource: "pods", Subresource: "exec", Namespace: "demo", Name: "web"}
	r := &reviews{status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}
	for range 2 {
		if ok, _, err := (&Rights{Client: r}).Allowed(t.Context(), user, access); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	want := authorizationv1.SubjectAccessReviewSpec{
		User: "tenant", UID: "42", Groups: []string{"team"}, Extra: map[string]authorizationv1.ExtraValue{"example.com/scopes": {"a", "b"}},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "create", Group: "g", Resource: "pods", Subresource: "exec", Namespace: "demo", Name: "web"},
	}
	if diff := cmp.Diff([]authorizationv1.SubjectAccessReviewSpec{want, want}, r.asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOnlyAClearYesIsOne(t *testing.T) {
	for name, c := range map[string]struct {
		status authorizationv1.SubjectAccessReviewStatus
		err    error
		reason string
	}{
		"no":            {},
		"no, and why":   {status: authorizationv1.SubjectAccessReviewStatus{Reason: "not you"}, reason: "not you"},
		"both":          {status: authorizationv1.SubjectAccessReviewStatus{Allowed: true, Denied: true}},
		"a broken rule": {status: authorizationv1.SubjectAccessReviewStatus{EvaluationError: "gone"}, reason: "gone"},
		"no answer":     {status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}, err: errors.New("away")},
	} {
		ok, reason, err := (&Rights{Client: &reviews{status: c.status, err: c.err}}).Allowed(t.Context(), authenticationv1.UserInfo{}, validators.Access{})
		if ok || reason != c.reason || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v %q %v", name, ok, reason, err)
		}
	}
}
