package webhook

import (
	"context"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/validators"
)

// byPeople leaves out what runs in kube-system, and nodes: controllers of Kubernetes, and drivers of storage
// that are installed there, create the claims of StatefulSets and write workloads and claims for whoever
// wrote those, and must never be refused. They cannot be listed: one that is left out of the list would
// stop. So controllers that deploy for people are let pass there too, which the documentation says.
const byPeople = `!(request.userInfo.username == "system:kube-controller-manager" || request.userInfo.username.startsWith("system:serviceaccount:kube-system:")` +
	` || request.userInfo.username.startsWith("system:node:"))`

// asksForBackups is true where a namespace's annotation names a blueprint that it did not name before.
const asksForBackups = `object.metadata.?annotations[?"` + api.AnnotationBlueprint + `"].orValue("") != "" && (oldObject == null ||` +
	` object.metadata.?annotations[?"` + api.AnnotationBlueprint + `"].orValue("") != oldObject.metadata.?annotations[?"` + api.AnnotationBlueprint + `"].orValue(""))`

// policyHooks are those that exist for policies only. They fail open: while we do not answer, an object
// is stored unprotected, which the policy's status says soon; refused would be whatever anybody does to a
// workload, and Stash must not stop a cluster.
func policyHooks() []Hook {
	return []Hook{
		{
			Name: "default.workloads", Path: "/mutate/workloads/default", Mutating: true, Rules: policyRules(protection.Defaulted()), Serve: ServeWorkload,
			FailurePolicy: admissionregistrationv1.Ignore, TimeoutSeconds: 3, Excluded: true, OwnWrites: true, Reinvoked: true,
			// In managed namespaces all workloads come to us anyway.
			Namespaces:      []metav1.LabelSelectorRequirement{absent(api.LabelManaged), absent(api.LabelRestoring)},
			Policies:        []v1beta1.ProtectionAction{v1beta1.ActionDefault},
			MatchConditions: []admissionregistrationv1.MatchCondition{condition("not-by-kubernetes", people), condition("not-annotated", "!("+annotated+")")},
			Risk:            "while no replica answers, no workload that a policy with the action Default selects can be created or changed",
			Purpose:         "One for each ProtectionPolicy with action Default: expands its blueprint, says what will appear, and stamps the pod template.",
		},
		{
			Name: "protection", Path: "/validate/protection/{policy}", Rules: policyRules(protectable()), Serve: ServeProtection,
			FailurePolicy: admissionregistrationv1.Ignore, TimeoutSeconds: 3, Excluded: true, OwnWrites: true,
			Policies:        []v1beta1.ProtectionAction{v1beta1.ActionWarn, v1beta1.ActionDeny},
			MatchConditions: []admissionregistrationv1.MatchCondition{condition("by-people", byPeople)},
			Risk:            "while no replica answers, nothing that a policy with the action Warn or Deny selects can be created or changed",
			Purpose:         "One for each ProtectionPolicy with action Warn or Deny: warns of what it leaves unprotected, or refuses it.",
		},
		{
			Name: "namespaces", Path: "/validate/namespaces", Serve: ServeNamespace, OwnWrites: true,
			Rules: []admissionregistrationv1.RuleWithOperations{
				rule("", []string{"v1"}, allOfNamespaces(), admissionregistrationv1.ClusterScope, admissionregistrationv1.Create, admissionregistrationv1.Update),
			},
			FailurePolicy: admissionregistrationv1.Fail, TimeoutSeconds: 3,
			MatchConditions: []admissionregistrationv1.MatchCondition{condition("asks-for-backups", asksForBackups)},
			Unsafe:          "the workloads of a namespace could be backed up by somebody who may not change them",
			Purpose:         "Refuses an annotation that has a whole namespace backed up by somebody who may not change its workloads, or by a blueprint that does not admit it.",
		},
	}
}

// allOfNamespaces are the resources by which a Namespace's labels and annotations can be changed.
func allOfNamespaces() []string {
	return []string{"namespaces", "namespaces/status", "namespaces/finalize"}
}

// protectable are the kinds that policies can select.
func protectable() []target.Kind { return append(target.Workloads(), target.PersistentVolumeClaim()) }

// policyRules are those of some kinds, a rule for each group.
func policyRules(kinds []target.Kind) []admissionregistrationv1.RuleWithOperations {
	var out []admissionregistrationv1.RuleWithOperations
	for _, k := range kinds {
		i := slices.IndexFunc(out, func(r admissionregistrationv1.RuleWithOperations) bool { return r.APIGroups[0] == k.GVK.Group })
		if i >= 0 {
			out[i].Resources = append(out[i].Resources, k.Resource)
			continue
		}
		out = append(out, rule(k.GVK.Group, []string{k.GVK.Version}, []string{k.Resource}, admissionregistrationv1.NamespacedScope, admissionregistrationv1.Create, admissionregistrationv1.Update))
	}
	return out
}

// entries are what a row of the table becomes in the configurations: itself, or one for each policy. The
// labels of a Namespace in a request are those that it is to have, by which the API server selects too.
func (i Installation) entries(h Hook) []Hook {
	if h.Policies == nil {
		return []Hook{h}
	}
	var out []Hook
	for _, p := range i.Policies {
		if !slices.Contains(h.Policies, p.Spec.Action) {
			continue
		}
		if h.Entries == EntryOfAll {
			return []Hook{h}
		}
		e := h
		e.Name = protection.ID(p.Name) + "." + h.Name
		e.Path = strings.ReplaceAll(h.Path, "{policy}", p.Name)
		e.Namespaces = append(requirements(p.Spec.NamespaceSelector), h.Namespaces...)
		if h.Entries == EntriesOfObjects {
			e.Rules = policyRules(p.Kinds())
			e.Objects = append(requirements(p.Spec.ObjectSelector), h.Objects...)
		}
		out = append(out, e)
	}
	return out
}

// requirements are those of a selector, labels among them, in an order of their own.
func requirements(s *metav1.LabelSelector) []metav1.LabelSelectorRequirement {
	if s == nil {
		return nil
	}
	out := make([]metav1.LabelSelectorRequirement, 0, len(s.MatchLabels)+len(s.MatchExpressions))
	for key, value := range s.MatchLabels {
		out = append(out, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{value}})
	}
	slices.SortFunc(out, func(a, b metav1.LabelSelectorRequirement) int { return strings.Compare(a.Key, b.Key) })
	for _, r := range s.MatchExpressions {
		out = append(out, *r.DeepCopy())
	}
	return out
}

// PolicyRequest is a request on an object that a policy selects.
type PolicyRequest struct {
	// Policy is its name.
	Policy    string
	Namespace string
	Kind      target.Kind
	// Object is typed where its kind can be backed up, else it holds metadata only. Old is nil for a
	// creation.
	Object, Old runtime.Object
}

// Policies answers for the hooks of policies.
type Policies interface {
	// Protection decides on a request. A policy that is gone decides nothing.
	Protection(ctx context.Context, r PolicyRequest) (protection.Answer, error)
	// NamespaceDefault returns what is wrong with the blueprints that a Namespace's annotation names, and
	// warnings.
	NamespaceDefault(ctx context.Context, n *corev1.Namespace) (blueprint.Problems, []string, error)
	// Withdrawal decides on a request that may leave objects less protected that it is not about.
	Withdrawal(ctx context.Context, w Withdrawal) (protection.Answer, error)
}

// namespaceDefault looks at a Namespace whose annotation has all of its workloads backed up: whoever
// writes it must be allowed to change them.
func (o *Options) namespaceDefault(ctx context.Context, v *review) answer {
	n := &corev1.Namespace{}
	if v.kind != "Namespace" || v.group != "" || v.object == nil {
		return deny(WrongKind, "the hook is for namespaces, the request is for a %s", v.kind)
	}
	if err := v.decode(n, nil); err != nil {
		return deny(WrongKind, "%v", err)
	}
	at := field.NewPath("metadata", "annotations").Key(api.AnnotationBlueprint)
	if refusal, ok := o.holds(ctx, v, validators.NamespaceAccess(n.Name, at)); !ok {
		return refusal
	}
	problems, warnings, err := o.Policies.NamespaceDefault(ctx, n)
	switch {
	case err != nil:
		return unavailable(LookupFailed, "the blueprint of the namespace could not be looked up: %v", err)
	case len(problems) > 0:
		return invalid(v, problems.ErrorList(), warnings)
	case len(warnings) > 0:
		return allow(Warned, warnings...)
	}
	return allow(Valid)
}

// protection judges an object by the policy in the path.
func (o *Options) protection(ctx context.Context, v *review) answer {
	r, a := readProtected(v)
	if r == nil {
		return a
	}
	said, err := o.Policies.Protection(ctx, *r)
	if err != nil {
		// It is judged again by whoever looks at all objects.
		return allow(LookupFailed, "stash could not judge this object by ProtectionPolicy "+r.Policy+", and does so later: "+err.Error())
	}
	return judged(v, said)
}

// judged is the answer to a request of what policies say of it.
func judged(v *review, said protection.Answer) answer {
	switch {
	case len(said.Refused) > 0:
		refused := invalid(v, said.Refused, said.Warnings)
		refused.reason = Unprotected
		return refused
	case len(said.Warnings) > 0:
		return allow(Warned, said.Warnings...)
	}
	return allow(Valid)
}

// readProtected decodes the request, or answers it.
func readProtected(v *review) (*PolicyRequest, answer) {
	kinds := protectable()
	i := slices.IndexFunc(kinds, func(k target.Kind) bool { return k.GVK.Group == v.group && k.GVK.Kind == v.kind })
	if i < 0 || v.object == nil {
		return nil, deny(WrongKind, "the hook is for workloads and claims, the request is for a %s", v.kind)
	}
	r := &PolicyRequest{Policy: v.policy, Namespace: v.namespace, Kind: kinds[i]}
	empty := func() runtime.Object {
		if o := r.Kind.New(); o != nil {
			return o
		}
		return &metav1.PartialObjectMetadata{}
	}
	r.Object = empty()
	if v.oldObject != nil {
		r.Old = empty()
	}
	if err := v.decode(r.Object, r.Old); err != nil {
		return nil, deny(WrongKind, "%v", err)
	}
	return r, answer{}
}
