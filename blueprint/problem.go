package blueprint

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Reason is why an annotation cannot be expanded. It labels metrics and events.
type Reason string

// Values of Reason.
const (
	// ReasonNotSupportedYet is a feature, or a kind of target, whose time comes later.
	ReasonNotSupportedYet Reason = "NotSupportedYet"
	// ReasonBlueprintNotFound is a name without a BackupBlueprint or BackupTemplate.
	ReasonBlueprintNotFound Reason = "BlueprintNotFound"
	// ReasonNamespaceNotAllowed is a namespace that the blueprint's allowedNamespaces leave out.
	ReasonNamespaceNotAllowed Reason = "NamespaceNotAllowed"
	// ReasonNamespaceExcluded is a namespace whose pods Stash leaves alone.
	ReasonNamespaceExcluded Reason = "NamespaceExcluded"
	// ReasonRepositoryNotAllowed is a Repository whose usagePolicy would not admit the target.
	ReasonRepositoryNotAllowed Reason = "RepositoryNotAllowed"
	// ReasonMissingAnnotation is an annotation that the target needs and does not have.
	ReasonMissingAnnotation Reason = "MissingAnnotation"
	// ReasonInvalidPath is a path that is not absolute or not clean.
	ReasonInvalidPath Reason = "InvalidPath"
	// ReasonPathNotMounted is a path that no mount reaches.
	ReasonPathNotMounted Reason = "PathNotMounted"
	// ReasonInvalidMount is a mount that cannot be read or would hide what Stash needs.
	ReasonInvalidMount Reason = "InvalidMount"
	// ReasonTooMany is an annotation that holds more than Stash takes.
	ReasonTooMany Reason = "TooMany"
	// ReasonUnknownVolume is a volume that the target's pods do not have.
	ReasonUnknownVolume Reason = "UnknownVolume"
	// ReasonInvalidSchedule is a schedule or time zone that cannot be read.
	ReasonInvalidSchedule Reason = "InvalidSchedule"
	// ReasonMissingVariable is a variable in the blueprint without a value.
	ReasonMissingVariable Reason = "MissingVariable"
	// ReasonInvalidBlueprint is a blueprint that cannot be resolved otherwise.
	ReasonInvalidBlueprint Reason = "InvalidBlueprint"
)

// Problem is one thing that keeps an annotation from being expanded.
type Problem struct { //nolint:errname // a finding that can be returned as an error, not a failure.
	// Reason is why.
	Reason Reason
	// Field of the target, for example metadata.annotations[stash.appscode.com/target-paths].
	Field string
	// Value that was found there; empty for what is missing.
	Value string
	// Detail says what is wrong and what to write instead.
	Detail string
}

// Error returns the problem as the API server would print it.
func (p Problem) Error() string { return p.fieldError().Error() }

func (p Problem) fieldError() *field.Error {
	path := field.NewPath(p.Field)
	switch p.Reason {
	case ReasonMissingAnnotation:
		return field.Required(path, p.Detail)
	case ReasonNotSupportedYet, ReasonNamespaceNotAllowed, ReasonNamespaceExcluded, ReasonRepositoryNotAllowed:
		return field.Forbidden(path, p.Detail)
	default:
		return field.Invalid(path, p.Value, p.Detail)
	}
}

// Problems are all that keep the annotations of one target from being expanded.
type Problems []Problem

// ErrorList returns the problems in the form in which admission refuses.
func (p Problems) ErrorList() field.ErrorList {
	list := make(field.ErrorList, 0, len(p))
	for i := range p {
		list = append(list, p[i].fieldError())
	}
	return list
}

// Warnings returns the problems as sentences, for requests that do not cause them.
func (p Problems) Warnings() []string {
	out := make([]string, 0, len(p))
	for i := range p {
		out = append(out, fmt.Sprintf("not backed up: %s", p[i].Error()))
	}
	return out
}

func annotation(key string) string {
	return field.NewPath("metadata", "annotations").Key(key).String()
}
