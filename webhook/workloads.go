package webhook

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/validators"
)

// workload expands a workload's annotations in memory, refuses what this request makes impossible,
// says what will appear, and stamps the pod template, so that the first pod has its sidecar.
func (o *Options) workload(ctx context.Context, v *review, policy admissionregistrationv1.FailurePolicyType) answer {
	w, a := readWorkload(v)
	if w == nil {
		return a
	}
	in, err := o.Workloads.ExpansionInput(ctx, w.target)
	if err != nil {
		return lookupFailed(policy, err)
	}
	expansion, problems := blueprint.Expand(in)
	checked, err := o.checkPairs(ctx, w, expansion.Pairs)
	if err != nil {
		return lookupFailed(policy, err)
	}
	faults, warnings := append(problems.ErrorList(), checked.Errors...), []string(nil)
	relevant := blueprint.Relevant(w.oldAnnotations, w.target.Annotations, w.oldTemplate, w.target.Template)
	// What somebody else asks for is no reason to refuse a workload.
	byDefault := in.Defaulted()
	switch {
	case len(faults) > 0 && relevant && !byDefault:
		return invalid(v, faults, checked.Warnings)
	case len(faults) > 0:
		for _, f := range faults {
			warnings = append(warnings, "not backed up: "+f.Error())
		}
	case relevant || byDefault && w.oldTemplate == nil:
		warnings = slices.Concat(expansion.Warnings, checked.Warnings)
	}
	if text := protection.Unreasoned(w.target.Annotations); text != "" {
		warnings = append(warnings, text)
	}
	warnings = append(warnings, blueprint.Unknown(w.oldAnnotations, w.target.Annotations)...)
	wanted, err := o.Workloads.Wanted(ctx, Workload{Namespace: v.namespace, Kind: w.target.Kind, Object: w.object, Pairs: expansion.Pairs})
	if err != nil {
		return lookupFailed(policy, err)
	}
	if relevant {
		for _, p := range wanted.Problems {
			warnings = append(warnings, p.String())
		}
	}
	return w.stamp(v, wanted, relevant, warnings, len(faults) > 0)
}

// stamp answers with the labels that the pod template is to carry.
func (w *workloadRequest) stamp(v *review, wanted Wanted, relevant bool, warnings []string, faulty bool) answer {
	have, ok := mutators.ReadStamp(v.object)
	if !ok {
		return deny(Reason(mutators.Malformed), "the %s has no pod template", v.kind)
	}
	rollsOut := w.oldTemplate != nil && !sameTemplate(w.oldTemplate, w.target.Template)
	stamp, undone := decideStamp(stamps{
		create: w.oldTemplate == nil, old: w.oldStamp, have: have, rollsOut: rollsOut,
	}, wanted)
	if undone {
		warnings = append(warnings, fmt.Sprintf("the only change of the pod template was a label of Stash, which was put back: nothing is rolled out. "+
			"To undo a rollout, name the revision: kubectl rollout undo %s/%s --to-revision=<n> (kubectl rollout history lists them)", v.resource, w.target.Name))
	}
	comes := w.oldTemplate != nil && wanted.Stamp.Inject != w.oldStamp.Inject && wanted.Stamp.Inject != ""
	held := w.held()
	if s := wanted.unsaid(stamp, comes && len(held) == 0); s != "" && (relevant || rollsOut) {
		warnings = append(warnings, s)
	}
	if comes && wanted.Later == "" && (relevant || rollsOut) {
		warnings = append(warnings, held...)
	}
	patch, why := mutators.Workload(v.object, stamp)
	a := answer{reason: Reason(why), patch: patch, warnings: warnings}
	switch {
	case why == mutators.Malformed:
		return deny(Reason(why), "the %s has no pod template", v.kind)
	case faulty && len(patch) == 0:
		a.reason = Warned
	case stamp == (mutators.Stamp{}) && len(patch) == 0:
		a.reason = NotOurs
	}
	return a
}

// unsaid says why a workload does not get its sidecar with this request; comes tells that the pods of
// one that exists are to be replaced for it.
func (w Wanted) unsaid(stamp mutators.Stamp, comes bool) string {
	switch {
	case w.Withheld != "":
		return w.Withheld
	case stamp.Inject == w.Stamp.Inject:
		return ""
	case w.Later != "":
		return w.Later
	case comes:
		return "the pods are replaced by ones with the backup sidecar as soon as a dry run has shown that the API server takes such a pod"
	}
	return ""
}

// held says why the pods of a workload will not follow its template.
func (w *workloadRequest) held() []string {
	switch r := w.target.Kind.Rollout(w.object); {
	case r.Paused:
		return []string{"its rollout is paused: its pods get the backup sidecar when it is resumed"}
	case r.OnDelete:
		return []string{"its update strategy is OnDelete: its pods get the backup sidecar when they are deleted"}
	case r.Partition > 0:
		return []string{fmt.Sprintf("its update strategy has partition %d: pods of a lower ordinal get the backup sidecar when it is lowered", r.Partition)}
	}
	return nil
}

// checkPairs applies the rules of our own kinds to what the annotations expand into.
func (o *Options) checkPairs(ctx context.Context, w *workloadRequest, pairs []blueprint.Pair) (validators.Result, error) {
	var all validators.Result
	for i, p := range pairs {
		// Of two that exclude each other one complaint is enough.
		facts, err := o.Own.PairFacts(ctx, p, pairs[:i])
		if err != nil {
			return all, fmt.Errorf("check blueprint %q: %w", p.Blueprint, err)
		}
		facts.Target = w.object
		r := validators.Expansion(&blueprint.Expansion{Pairs: []blueprint.Pair{p}}, facts)
		all.Errors, all.Warnings = append(all.Errors, r.Errors...), append(all.Warnings, r.Warnings...)
	}
	return all, nil
}

func lookupFailed(policy admissionregistrationv1.FailurePolicyType, err error) answer {
	if policy == admissionregistrationv1.Fail {
		return unavailable(LookupFailed, "the namespace is under restore, and what this workload needs could not be looked up: %v", err)
	}
	return allow(LookupFailed, "stash could not look at this object, and does so later: "+err.Error())
}

// workloadRequest is a request on a workload, decoded.
type workloadRequest struct {
	target         blueprint.Target
	object         runtime.Object
	oldAnnotations map[string]string
	oldTemplate    *corev1.PodTemplateSpec
	oldStamp       mutators.Stamp
}

// readWorkload decodes the request, or answers it.
func readWorkload(v *review) (*workloadRequest, answer) {
	i := slices.IndexFunc(target.Workloads(), func(k target.Kind) bool { return k.GVK.Group == v.group && k.GVK.Kind == v.kind })
	if i < 0 {
		return nil, deny(WrongKind, "the hook is for workloads, the request is for a %s", v.kind)
	}
	kind := target.Workloads()[i]
	w := &workloadRequest{object: kind.New()}
	var old runtime.Object
	if v.oldObject != nil {
		old = kind.New()
	}
	if err := v.decode(w.object, old); err != nil {
		return nil, deny(WrongKind, "%v", err)
	}
	if m, ok := w.object.(metav1.Object); ok && m.GetNamespace() == "" {
		m.SetNamespace(v.namespace)
	}
	var ok bool
	if w.target, ok = blueprint.TargetOf(w.object, v.namespace); !ok {
		return nil, deny(WrongKind, "the %s has no pod template", v.kind)
	}
	if m, isObject := old.(metav1.Object); isObject {
		w.oldAnnotations, w.oldTemplate = m.GetAnnotations(), kind.PodTemplate(old)
		w.oldStamp, _ = mutators.ReadStamp(v.oldObject)
	}
	return w, answer{}
}
