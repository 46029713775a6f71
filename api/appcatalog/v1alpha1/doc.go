// Package v1alpha1 holds AppBinding, by which applications, databases above all, tell other programs
// how they are reached and with which Secret. The kind belongs to no single product: Stash reads
// AppBindings and never writes one, and its definition is installed only where no other product has
// brought one (deploy/appbinding).
//
// +kubebuilder:object:generate=true
// +groupName=appcatalog.appscode.com
package v1alpha1
