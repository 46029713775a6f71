// Package api holds what all kinds of the Stash API share: names of annotations, labels and
// conditions, and the condition type itself. The kinds are in v1alpha1 (Repository) and v1beta1
// (the rest). There is no logic here but accessors; nothing here knows a client or a clock.
//
// +kubebuilder:object:generate=true
package api
