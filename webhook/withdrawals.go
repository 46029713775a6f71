package webhook

import (
	"context"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
)

// changesProtection is true where a namespace's labels change, by which policies select, or an annotation
// that holds for all of its workloads.
const changesProtection = `object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({}) ||` +
	` object.metadata.?annotations[?"` + api.AnnotationBlueprint + `"].orValue("") != oldObject.metadata.?annotations[?"` + api.AnnotationBlueprint + `"].orValue("") ||` +
	` object.metadata.?annotations[?"` + api.AnnotationExemption + `"].orValue("") != oldObject.metadata.?annotations[?"` + api.AnnotationExemption + `"].orValue("")`

// byPeopleOrCollected is byPeople, and all deletions but those with a namespace. The garbage collector deletes
// what anybody gives an owner that is not there: it is asked about, tries again, and passes once the workload
// is gone too.
const byPeopleOrCollected = byPeople + ` || request.operation == "DELETE" && request.userInfo.username != "system:serviceaccount:kube-system:namespace-controller"`

// withdrawalHooks look at requests that take protection from objects that they are not about. What goes with
// a namespace is not asked about.
func withdrawalHooks() []Hook {
	acting := []v1beta1.ProtectionAction{v1beta1.ActionWarn, v1beta1.ActionDeny}
	byPeople := condition("by-people", byPeople)
	return []Hook{
		{
			Name: "withdrawal.namespaces", Path: "/validate/namespaces/withdrawal/{policy}", Serve: ServeWithdrawal, OwnWrites: true, Excluded: true,
			Rules: []admissionregistrationv1.RuleWithOperations{
				rule("", []string{"v1"}, allOfNamespaces(), admissionregistrationv1.ClusterScope, admissionregistrationv1.Update),
			},
			FailurePolicy: admissionregistrationv1.Ignore, TimeoutSeconds: 3, Policies: acting, Entries: EntriesOfNamespaces,
			MatchConditions: []admissionregistrationv1.MatchCondition{byPeople, condition("changes-protection", changesProtection)},
			Risk:            "while no replica answers, no namespace that a policy with the action Warn or Deny selects can be given other labels",
			Purpose:         "One for each ProtectionPolicy with action Warn or Deny: warns of the workloads that a namespace's annotation or labels leave unprotected, or refuses the change.",
		},
		{
			Name: "withdrawal.backupconfigurations", Path: "/validate/backupconfigurations/withdrawal", Serve: ServeWithdrawal, OwnWrites: true,
			Rules: []admissionregistrationv1.RuleWithOperations{
				rule(api.Group, []string{"v1beta1"}, []string{"backupconfigurations"}, admissionregistrationv1.NamespacedScope, admissionregistrationv1.Update, admissionregistrationv1.Delete),
			},
			FailurePolicy: admissionregistrationv1.Ignore, TimeoutSeconds: 3, Policies: acting, Entries: EntryOfAll,
			MatchConditions: []admissionregistrationv1.MatchCondition{condition("by-people-or-collected", byPeopleOrCollected)},
			Risk:            "while no replica answers, no BackupConfiguration can be changed or deleted",
			Purpose:         "One for all ProtectionPolicies with action Warn or Deny: warns who pauses, weakens or deletes a backup that they count, or refuses all but the pause.",
		},
	}
}

// Withdrawal is a request on a Namespace or a BackupConfiguration, by which objects may lose protection.
type Withdrawal struct {
	// Policy is the one that looks; empty: all that act.
	Policy string
	// Namespace and Configuration: one of them was changed. The configuration after is nil where it is
	// deleted.
	NamespaceBefore, NamespaceAfter         *corev1.Namespace
	ConfigurationBefore, ConfigurationAfter *v1beta1.BackupConfiguration
	// At is what the request changes.
	At *field.Path
	// Pauses tells that it stops the schedule of a configuration, and nothing else.
	Pauses bool
}

// withdrawal answers a request that may take protection from others than its object.
func (o *Options) withdrawal(ctx context.Context, v *review) answer {
	w, a := readWithdrawal(v)
	if w == nil {
		return a
	}
	said, err := o.Policies.Withdrawal(ctx, *w)
	switch {
	case err != nil:
		return allow(LookupFailed, "stash could not see whether ProtectionPolicies have something against this, and looks later: "+err.Error())
	case len(said.Refused) > 0 && v.operation == "DELETE":
		details := make([]string, 0, len(said.Refused))
		for _, e := range said.Refused {
			details = append(details, e.Detail)
		}
		return deny(Unprotected, "%s; a workload that is to go too is deleted first", strings.Join(details, "; "))
	}
	said.Warnings = append(said.Warnings, w.unreasoned()...)
	return judged(v, said)
}

// unreasoned tells whoever sets an exemption on a namespace that it is none: it takes nothing from anybody,
// and would else be seen in the status of policies alone.
func (w *Withdrawal) unreasoned() []string {
	before, after := w.NamespaceBefore, w.NamespaceAfter
	if before == nil || after == nil || before.Annotations[api.AnnotationExemption] == after.Annotations[api.AnnotationExemption] {
		return nil
	}
	if text := protection.Unreasoned(after.Annotations); text != "" {
		return []string{text}
	}
	return nil
}

// readWithdrawal decodes the request, or answers it.
func readWithdrawal(v *review) (*Withdrawal, answer) {
	switch {
	case v.group == "" && v.kind == "Namespace" && v.object != nil && v.oldObject != nil:
		return readNamespaceChange(v)
	case v.group == api.Group && v.kind == v1beta1.KindBackupConfiguration && v.oldObject != nil:
		return readConfigurationChange(v)
	}
	return nil, deny(WrongKind, "the hook is for changes of namespaces and BackupConfigurations, the request is for a %s", v.kind)
}

func readNamespaceChange(v *review) (*Withdrawal, answer) {
	now, old := &corev1.Namespace{}, &corev1.Namespace{}
	if err := v.decode(now, old); err != nil {
		return nil, deny(WrongKind, "%v", err)
	}
	if now.DeletionTimestamp != nil {
		return nil, allow(Valid) // what is in it goes with it
	}
	at := field.NewPath("metadata", "labels")
	for _, key := range []string{api.AnnotationExemption, api.AnnotationBlueprint} {
		if now.Annotations[key] != old.Annotations[key] {
			at = field.NewPath("metadata", "annotations").Key(key)
		}
	}
	return &Withdrawal{Policy: v.policy, NamespaceBefore: old, NamespaceAfter: now, At: at}, answer{}
}

func readConfigurationChange(v *review) (*Withdrawal, answer) {
	w := &Withdrawal{ConfigurationBefore: &v1beta1.BackupConfiguration{}, At: field.NewPath("spec")}
	var err error
	if v.operation == "DELETE" {
		w.At = field.NewPath("metadata", "deletionTimestamp")
		err = v.decode(nil, w.ConfigurationBefore)
	} else {
		w.ConfigurationAfter = &v1beta1.BackupConfiguration{}
		err = v.decode(w.ConfigurationAfter, w.ConfigurationBefore)
	}
	if err != nil {
		return nil, deny(WrongKind, "%v", err)
	}
	for _, c := range []*v1beta1.BackupConfiguration{w.ConfigurationBefore, w.ConfigurationAfter} {
		if c != nil && c.Namespace == "" {
			c.Namespace = v.namespace
		}
	}
	if w.ConfigurationBefore.DeletionTimestamp != nil || w.ConfigurationAfter != nil && equality.Semantic.DeepEqual(w.ConfigurationAfter.Spec, w.ConfigurationBefore.Spec) &&
		sameOrigin(w.ConfigurationAfter, w.ConfigurationBefore) {
		return nil, allow(Valid)
	}
	if w.Pauses = pauses(w.ConfigurationAfter, w.ConfigurationBefore); w.Pauses {
		w.At = w.At.Child("paused")
	}
	return w, answer{}
}

// pauses tells whether a change stops a schedule, and does nothing else that policies look at.
func pauses(now, old *v1beta1.BackupConfiguration) bool {
	if now == nil || old.Spec.Paused || !now.Spec.Paused || !sameOrigin(now, old) {
		return false
	}
	running := now.Spec.DeepCopy()
	running.Paused = false
	return equality.Semantic.DeepEqual(*running, old.Spec)
}

// sameOrigin tells whether two objects say to come from the same blueprint, for the same workload.
func sameOrigin(a, b metav1.Object) bool {
	for _, key := range []string{api.AnnotationExpandedFrom, api.AnnotationExpandedBlueprint} {
		if a.GetAnnotations()[key] != b.GetAnnotations()[key] {
			return false
		}
	}
	return true
}
