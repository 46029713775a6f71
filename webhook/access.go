package webhook

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seed-731df569/stash/validators"
)

// Access answers whether somebody holds a right.
type Access interface {
	// Allowed asks whoever authorizes requests of the cluster, now: the answer for one user says
	// nothing about another, nor about the next minute. The reason is the authorizer's and may be
	// empty. An error refuses the request for now.
	Allowed(ctx context.Context, user authenticationv1.UserInfo, a validators.Access) (allowed bool, reason string, err error)
}

const (
	// accessAtOnce bounds the rights of one request that are asked for at the same time.
	accessAtOnce = 4
	// accessMargin is left of a request's time for the answer, when the authorizer gives none.
	accessMargin = 300 * time.Millisecond
)

// missingAccess is a right that the requester lacks.
type missingAccess struct {
	validators.Access
	// reason is the authorizer's.
	reason string
}

// authorize refuses a request whose author lacks a right that Stash would use for them. It comes
// before everything that looks at other objects: what they are like is none of a stranger's business.
func (o *Options) authorize(ctx context.Context, v *review, object, old runtime.Object) (refusal answer, ok bool) {
	return o.holds(ctx, v, distinct(validators.AccessNeeded(object, old)))
}

// holds refuses a request whose author lacks one of some rights.
func (o *Options) holds(ctx context.Context, v *review, needed []validators.Access) (refusal answer, ok bool) {
	if len(needed) == 0 {
		return answer{}, true
	}
	user, err := v.userInfo()
	if err != nil {
		return deny(WrongKind, "%v", err), false
	}
	missing, err := o.missing(ctx, user, needed)
	switch {
	case err != nil:
		return unavailable(LookupFailed, "whether user %q may have Stash do this could not be checked: %v; try again", user.Username, err), false
	case len(missing) > 0:
		return forbidden(v, user, missing), false
	}
	return answer{}, true
}

// missing asks for all rights and returns those that the user lacks, in order.
func (o *Options) missing(ctx context.Context, user authenticationv1.UserInfo, needed []validators.Access) ([]missingAccess, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-accessMargin))
		defer cancel()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(accessAtOnce)
	lacks := make([]*missingAccess, len(needed))
	for i, a := range needed {
		group.Go(func() error {
			allowed, reason, err := o.Access.Allowed(ctx, user, a)
			if err == nil && !allowed {
				lacks[i] = &missingAccess{a, reason}
			}
			return err //nolint:wrapcheck // the caller says what was asked
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // as above
	}
	var out []missingAccess
	for _, m := range lacks {
		if m != nil {
			out = append(out, *m)
		}
	}
	return out, nil
}

// distinct leaves out what is asked for twice.
func distinct(list []validators.Access) []validators.Access {
	var out []validators.Access
	seen := map[validators.Access]bool{}
	for _, a := range list {
		key := a
		key.Field, key.Why = nil, ""
		if !seen[key] {
			seen[key] = true
			out = append(out, a)
		}
	}
	return out
}

// forbidden refuses with all missing rights at once: what each is for, how to ask for it, how to
// grant it.
func forbidden(v *review, user authenticationv1.UserInfo, missing []missingAccess) answer {
	rights, them := "a right", "it"
	if len(missing) > 1 {
		rights, them = strconv.Itoa(len(missing))+" rights", "them"
	}
	var message strings.Builder
	fmt.Fprintf(&message, "user %q lacks %s that Stash would use on their behalf:\n", user.Username, rights)
	causes := make([]metav1.StatusCause, 0, len(missing))
	for i := range missing {
		m := &missing[i]
		message.WriteString("\n" + m.explain(user))
		causes = append(causes, metav1.StatusCause{Type: metav1.CauseTypeForbidden, Field: m.Field.String(), Message: m.need()})
	}
	message.WriteString("\nThe ClusterRoles edit and admin hold " + them + " where they are bound.")
	a := deny(MissingRight, "%s", message.String())
	a.status.Details = &metav1.StatusDetails{Name: v.name, Group: v.group, Kind: v.kind, Causes: causes}
	a.status.Code = http.StatusForbidden
	return a
}
