package webhook

import (
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Docs prints the table of hooks and that of reasons as Markdown, for docs/reference.
func Docs() string {
	var b strings.Builder
	b.WriteString("| hook | asked for | while we do not answer | purpose |\n|---|---|---|---|\n")
	for _, h := range Hooks() {
		policy := "the request passes"
		if h.FailurePolicy == admissionregistrationv1.Fail {
			policy = "the request is refused"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s (%d s) | %s |\n", h.FullName(), h.scope(), policy, h.TimeoutSeconds, h.Purpose)
	}
	b.WriteString("\n| hook | failure policy | may be the other one |\n|---|---|---|\n")
	for _, h := range Hooks() {
		other := "yes, as `" + string(opposite(h.FailurePolicy)) + "`: " + h.Risk
		if h.Unsafe != "" {
			other = "no: " + h.Unsafe
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", h.Name, h.FailurePolicy, other)
	}
	b.WriteString("\n| reason | meaning |\n|---|---|\n")
	for _, r := range Reasons() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Reason, r.Text)
	}
	return b.String()
}

// scope says in words which requests reach the hook.
func (h Hook) scope() string {
	var parts []string
	for _, r := range h.Rules {
		var operations []string
		for _, o := range r.Operations {
			operations = append(operations, strings.ToLower(string(o)))
		}
		parts = append(parts, strings.Join(operations, ", ")+" of "+strings.Join(r.Resources, ", "))
	}
	if h.Policies != nil && h.Entries != EntryOfAll {
		parts = append(parts, "as the policy selects")
	}
	if h.Entries == EntryOfAll {
		parts = append(parts, "while a policy acts")
	}
	for _, s := range h.Objects {
		parts = append(parts, selection("with", s))
	}
	for _, s := range h.Namespaces {
		parts = append(parts, selection("in namespaces with", s))
	}
	for _, c := range h.MatchConditions {
		parts = append(parts, "if "+c.Name)
	}
	if h.Excluded {
		parts = append(parts, "not in kube-system, kube-node-lease and our own namespace")
	}
	return strings.Join(parts, "; ")
}

func selection(how string, s metav1.LabelSelectorRequirement) string {
	if s.Operator == metav1.LabelSelectorOpDoesNotExist {
		how += "out"
	}
	return fmt.Sprintf("%s the label `%s`", how, s.Key)
}
