// Package v1beta1 holds the kinds that say what is backed up and restored, when and how:
// BackupConfiguration, BackupSession, RestoreSession, BackupBlueprint and BackupTemplate; Function and Task,
// which say what a Job runs; and ProtectionPolicy, which says what must be backed up.
// The fields of the design document's dialect stand beside the shipped ones; Shipped on a spec
// translates them, and is what every reader uses.
//
// +kubebuilder:object:generate=true
// +groupName=stash.appscode.com
package v1beta1
