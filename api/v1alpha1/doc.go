// Package v1alpha1 holds the Repository: where snapshots of one target are kept. It is served as
// v1alpha1 (stored) and, with the same schema, as v1alpha2.
//
// +kubebuilder:object:generate=true
// +groupName=stash.appscode.com
package v1alpha1
