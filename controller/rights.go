package controller

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/validators"
	"github.com/seed-731df569/stash/webhook"
)

// Rights asks the API server's own authorizers what somebody may do.
type Rights struct {
	// Client creates SubjectAccessReviews. It should have a rate limit of its own: requests of anybody
	// make it ask.
	Client client.Writer
}

var _ webhook.Access = (*Rights)(nil)

// Allowed implements webhook.Access. Nothing is remembered from one question to the next.
func (r *Rights) Allowed(ctx context.Context, user authenticationv1.UserInfo, a validators.Access) (allowed bool, reason string, err error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, Groups: user.Groups, UID: user.UID, Extra: extra(user),
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: a.Verb, Group: a.Group, Resource: a.Resource, Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name,
		},
	}}
	if err := r.Client.Create(ctx, review); err != nil {
		return false, "", fmt.Errorf("create SubjectAccessReview: %w", err)
	}
	reason = review.Status.Reason
	if reason == "" {
		reason = review.Status.EvaluationError
	}
	return review.Status.Allowed && !review.Status.Denied, reason, nil
}

// extra passes on what authenticators say beside the groups, such as scopes.
func extra(user authenticationv1.UserInfo) map[string]authorizationv1.ExtraValue {
	if len(user.Extra) == 0 {
		return nil
	}
	out := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		out[k] = authorizationv1.ExtraValue(v)
	}
	return out
}
