package protection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/api/v1beta1"
)

const (
	// maxListed bounds the lists in a policy's status.
	maxListed = 50
	// maxNamed bounds the objects that a condition names.
	maxNamed = 5
	// maxMessage bounds what is said of one object.
	maxMessage = 512
)

// Census counts what a policy finds.
type Census struct {
	namespaces map[string]bool
	protected  int
	exempt     []v1beta1.ExemptObject
	bad        []v1beta1.UnprotectedObject
}

// Namespace counts a namespace that the policy selects.
func (c *Census) Namespace(name string) {
	if c.namespaces == nil {
		c.namespaces = map[string]bool{}
	}
	c.namespaces[name] = true
}

// Add counts an object.
func (c *Census) Add(o *Object, v Verdict) {
	switch v.State {
	case Protected:
		c.protected++
	case Exempt:
		c.exempt = append(c.exempt, v1beta1.ExemptObject{Kind: o.Kind.String(), Namespace: o.Namespace.Name, Name: o.Name, Reason: v.Exemption})
	case Unprotected:
		details := make([]string, 0, len(v.Faults))
		for _, f := range v.Faults {
			details = append(details, f.Detail)
		}
		c.bad = append(c.bad, v1beta1.UnprotectedObject{
			Kind: o.Kind.String(), Namespace: o.Namespace.Name, Name: o.Name, Reasons: v.Reasons(), Message: short(strings.Join(details, "; ")),
		})
	case NotSelected:
	}
}

func short(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage-len("…")], "") + "…"
}

// Write puts the counts and the first objects of each list into a status, and leaves the rest of it. The
// same objects give the same status, in whatever order they came.
func (c *Census) Write(s *v1beta1.ProtectionPolicyStatus) {
	slices.SortFunc(c.bad, func(a, b v1beta1.UnprotectedObject) int {
		return order(a.Namespace, a.Kind, a.Name, b.Namespace, b.Kind, b.Name)
	})
	slices.SortFunc(c.exempt, func(a, b v1beta1.ExemptObject) int {
		return order(a.Namespace, a.Kind, a.Name, b.Namespace, b.Kind, b.Name)
	})
	s.Namespaces = count(len(c.namespaces))
	s.Protected, s.Unprotected, s.Exempt = count(c.protected), count(len(c.bad)), count(len(c.exempt))
	s.Selected = s.Protected + s.Unprotected + s.Exempt
	s.UnprotectedObjects = slices.Clone(c.bad[:min(len(c.bad), maxListed)])
	s.ExemptObjects = slices.Clone(c.exempt[:min(len(c.exempt), maxListed)])
}

func order(aNamespace, aKind, aName, bNamespace, bKind, bName string) int {
	return cmp.Or(cmp.Compare(aNamespace, bNamespace), cmp.Compare(aKind, bKind), cmp.Compare(aName, bName))
}

// count is a length as the API has it.
func count(n int) int32 {
	return int32(min(n, 1<<31-1)) //nolint:gosec // it is bounded
}

// Summary says in a sentence what a status found.
func Summary(s *v1beta1.ProtectionPolicyStatus) string {
	switch {
	case s.Selected == 0:
		return fmt.Sprintf("nothing is selected, in %d namespaces", s.Namespaces)
	case s.Unprotected == 0 && s.Exempt == 0:
		return fmt.Sprintf("protected: all %d selected", s.Selected)
	case s.Unprotected == 0:
		return fmt.Sprintf("protected: %d of %d selected, %d exempt", s.Protected, s.Selected, s.Exempt)
	}
	var named []string
	for _, o := range s.UnprotectedObjects[:min(len(s.UnprotectedObjects), maxNamed)] {
		named = append(named, fmt.Sprintf("%s %s/%s (%s)", o.Kind, o.Namespace, o.Name, strings.Join(o.Reasons, ", ")))
	}
	text := fmt.Sprintf("not protected: %d of %d selected: %s", s.Unprotected, s.Selected, strings.Join(named, ", "))
	if more := int(s.Unprotected) - len(named); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
