package protection

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Withdrawal gathers what a request about something else, a Namespace or a BackupConfiguration, would take
// from objects that a policy selects, or will select.
type Withdrawal struct {
	// Policy is one that acts.
	Policy *Policy
	// Warned: the request is warned of what would be refused. Pausing is how a recovery begins.
	Warned bool

	lost []loss
}

// loss is an object that would be less protected than it is.
type loss struct {
	name  string
	after Verdict
}

// Add takes in an object with what is found of it before and after the request. What is as unprotected as
// it was is not the request's doing, and passes whatever the policy says of existing objects: the request
// is not about them.
func (w *Withdrawal) Add(o *Object, before, after Verdict) {
	if after.State == Unprotected && worse(&before, &after) {
		w.lost = append(w.lost, loss{fmt.Sprintf("%s \"%s/%s\"", o.Kind, o.Namespace.Name, o.Name), after})
	}
}

// Full tells that there are more objects than an answer names: no more need be looked at.
func (w *Withdrawal) Full() bool { return len(w.lost) > maxNamed }

// Answer refuses or warns as the policy's action says; at is what the request changes. It is empty where
// nothing is lost.
func (w *Withdrawal) Answer(at *field.Path) Answer {
	if len(w.lost) == 0 {
		return Answer{}
	}
	detail := fmt.Sprintf("ProtectionPolicy %q: it would leave unprotected: %s", w.Policy.Name, w.text())
	switch w.Policy.action() {
	case v1beta1.ActionDeny:
		if !w.Warned {
			return Answer{Refused: field.ErrorList{field.Forbidden(at, detail)}}
		}
		return Answer{Warnings: []string{at.String() + ": " + detail}}
	case v1beta1.ActionWarn:
		return Answer{Warnings: []string{at.String() + ": " + detail}}
	default:
		return Answer{}
	}
}

// text says of one object all that is missing, and of several which they are.
func (w *Withdrawal) text() string {
	if len(w.lost) == 1 {
		details := make([]string, 0, len(w.lost[0].after.Faults))
		for _, f := range w.lost[0].after.Faults {
			details = append(details, f.Detail)
		}
		return w.lost[0].name + ": " + strings.Join(details, "; ")
	}
	slices.SortFunc(w.lost, func(a, b loss) int { return strings.Compare(a.name, b.name) })
	var named []string
	for _, l := range w.lost[:min(len(w.lost), maxNamed)] {
		named = append(named, fmt.Sprintf("%s (%s)", l.name, strings.Join(l.after.Reasons(), ", ")))
	}
	text := strings.Join(named, ", ")
	if w.Full() {
		text += " and more"
	}
	return text + "; have them backed up first, each by its annotation " + api.AnnotationBlueprint + ", or " + exempting()
}
