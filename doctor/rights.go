package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// account is the operator's ServiceAccount.
const account = "stash-operator"

// right is one thing that the operator may do, in one namespace or, where that is empty, everywhere.
type right struct {
	namespace, group, resource, subresource, name, verb string
}

func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.group != "" {
		text += "." + r.group
	}
	if r.subresource != "" {
		text += "/" + r.subresource
	}
	if r.name != "" {
		text += fmt.Sprintf(" %q", r.name)
	}
	if r.namespace != "" {
		text += " in namespace " + r.namespace
	}
	return text
}

// tooMuch are rights that the operator is better without: whoever gets hold of it would have them.
func tooMuch() []right {
	return []right{
		{resource: "secrets", verb: "list"},
		{resource: "secrets", verb: "watch"},
		{resource: "secrets", verb: "delete"},
		{resource: "pods", subresource: "exec", verb: "create"},
		{resource: "users", verb: "impersonate"},
		{group: rbacv1.GroupName, resource: "clusterroles", verb: "escalate"},
		{group: rbacv1.GroupName, resource: "clusterrolebindings", verb: "create"},
	}
}

// rights asks the API server about the operator, whoever runs this.
func (d *Doctor) rights(ctx context.Context, _ *site) []Finding {
	needed, err := neededRights(d.Namespace)
	if err != nil {
		return unread("the rights of this build", err)
	}
	has := map[right]bool{}
	for _, r := range slices.Concat(needed, tooMuch()) {
		if has[r], err = d.may(ctx, r); err != nil {
			return unread("the rights of the operator", err)
		}
	}
	return judgeRights(needed, has)
}

// may tells whether the operator has a right.
func (d *Doctor) may(ctx context.Context, r right) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:   "system:serviceaccount:" + d.Namespace + ":" + account,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + d.Namespace, "system:authenticated"},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: r.namespace, Group: r.group, Resource: r.resource, Subresource: r.subresource, Name: r.name, Verb: r.verb,
		},
	}}
	if err := d.client.Create(ctx, review); err != nil {
		return false, err //nolint:wrapcheck // the caller says what it asked
	}
	return review.Status.Allowed, nil
}

// neededRights are those of deploy/rbac.yaml, one by one.
func neededRights(namespace string) ([]right, error) {
	var out []right
	err := documents("rbac.yaml", func(kind string, text []byte) error {
		if kind != "ClusterRole" && kind != "Role" {
			return nil
		}
		var role rbacv1.Role // a ClusterRole has the same rules
		if err := yaml.Unmarshal(text, &role); err != nil {
			return err //nolint:wrapcheck // documents says which
		}
		where := ""
		if kind == "Role" {
			where = namespace
		}
		for _, rule := range role.Rules {
			out = append(out, expand(rule, where)...)
		}
		return nil
	})
	return out, err
}

func expand(rule rbacv1.PolicyRule, namespace string) []right {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	out := make([]right, 0, len(rule.APIGroups)*len(rule.Resources)*len(names)*len(rule.Verbs))
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			resource, subresource, _ := strings.Cut(resource, "/")
			for _, name := range names {
				for _, verb := range rule.Verbs {
					out = append(out, right{namespace, group, resource, subresource, name, verb})
				}
			}
		}
	}
	return out
}

func judgeRights(needed []right, has map[right]bool) []Finding {
	var missing, extra []string
	for _, r := range needed {
		if !has[r] {
			missing = append(missing, r.String())
		}
	}
	for _, r := range tooMuch() {
		if has[r] {
			extra = append(extra, r.String())
		}
	}
	var out []Finding
	if len(missing) > 0 {
		out = append(out, fail("apply deploy/rbac.yaml of this version (kubectl apply -k does it with the rest)",
			"the operator may not %s", some(missing)))
	}
	if len(extra) > 0 {
		out = append(out, warn("find the binding that gives it (kubectl get clusterrolebindings,rolebindings -A -o wide) and remove it: Stash needs none of this",
			"the operator may also %s", some(extra)))
	}
	if len(out) == 0 {
		out = append(out, fine("the operator has the %d rights of deploy/rbac.yaml, and none of those that it is better without", len(needed)))
	}
	return out
}

// some lists the first few.
func some(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, "; ")
	}
	return strings.Join(list[:most], "; ") + fmt.Sprintf("; and %d more", len(list)-most)
}
