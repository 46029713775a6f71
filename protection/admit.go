package protection

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// Answer is what becomes of a request.
type Answer struct {
	// Refused are the reasons to refuse it; empty where it passes.
	Refused field.ErrorList
	// Warnings are for whoever made it.
	Warnings []string
}

// Admit decides on a request that turns an object from before to after; before is nil for a creation.
//
// A request is refused for what it causes: it creates an object that is not protected, or takes its
// protection away, or brings it under the policy, or adds a fault. What was as unprotected before passes
// with a warning, unless the policy refuses that too: a fix of an application must not wait for its backup.
func (p *Policy) Admit(before *Verdict, after Verdict) Answer {
	if after.State != Unprotected {
		return Answer{}
	}
	faults := p.FaultList(&after)
	switch p.action() {
	case v1beta1.ActionDeny:
		if p.Spec.Existing == v1beta1.ExistingDeny || worse(before, &after) {
			return Answer{Refused: faults}
		}
	case v1beta1.ActionWarn:
	default:
		return Answer{}
	}
	var out Answer
	for _, f := range faults {
		out.Warnings = append(out.Warnings, fmt.Sprintf("not protected: %s", f.Detail))
	}
	return out
}

// worse tells whether an object that is not protected was less so before.
func worse(before, after *Verdict) bool {
	if before == nil || before.State != Unprotected {
		return true
	}
	had := before.Reasons()
	return slices.ContainsFunc(after.Reasons(), func(reason string) bool { return !slices.Contains(had, reason) })
}
