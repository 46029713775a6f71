package api

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Condition is one observed aspect of an object, in the form that Stash's objects have always
// carried (metav1.Condition and a severity).
type Condition struct {
	// Type names the aspect in CamelCase, for example RepositoryFound.
	// +kubebuilder:validation:MaxLength=316
	Type string `json:"type"`
	// Status is True, False or Unknown.
	// +kubebuilder:validation:Enum=True;False;Unknown
	Status metav1.ConditionStatus `json:"status"`
	// ObservedGeneration is the metadata.generation that the condition was set for.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// LastTransitionTime is when the status last changed.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitzero"`
	// Reason is one CamelCase word for the cause.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message tells a person what is the case and, where something is wrong, what to do.
	// +optional
	Message string `json:"message,omitempty"`
	// Severity grades a False condition: empty is Error, else Warning or Info.
	// +optional
	Severity string `json:"severity,omitempty"`
}

// FindCondition returns the condition of type t, or nil.
func FindCondition(conditions []Condition, t string) *Condition {
	for i := range conditions {
		if conditions[i].Type == t {
			return &conditions[i]
		}
	}
	return nil
}

// IsTrue tells whether the condition of type t exists with status True.
func IsTrue(conditions []Condition, t string) bool {
	c := FindCondition(conditions, t)
	return c != nil && c.Status == metav1.ConditionTrue
}

// IsFalse tells whether the condition of type t exists with status False.
func IsFalse(conditions []Condition, t string) bool {
	c := FindCondition(conditions, t)
	return c != nil && c.Status == metav1.ConditionFalse
}

// SetCondition replaces the condition of c's type or appends it. LastTransitionTime is set to now
// only where the status changes. It reports whether anything but the time differs.
func SetCondition(conditions *[]Condition, c Condition, now metav1.Time) bool {
	old := FindCondition(*conditions, c.Type)
	if old == nil {
		c.LastTransitionTime = now
		*conditions = append(*conditions, c)
		return true
	}
	c.LastTransitionTime = old.LastTransitionTime
	if old.Status != c.Status {
		c.LastTransitionTime = now
	}
	changed := *old != c
	*old = c
	return changed
}

// RemoveCondition drops the condition of type t and reports whether there was one.
func RemoveCondition(conditions *[]Condition, t string) bool {
	for i := range *conditions {
		if (*conditions)[i].Type == t {
			*conditions = append((*conditions)[:i], (*conditions)[i+1:]...)
			return true
		}
	}
	return false
}
