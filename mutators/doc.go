// Package mutators decides what Stash adds to pods and to pod templates. A Plan is what the pods of
// one workload get: NewBackupPlan makes the one with the sidecar, NewRestorePlan the one with the
// init-container, both rendered once, so that Pod only has to find the places in a pod's bytes.
// Workload puts the two labels on a pod template that send its pods through the hook.
//
// Patches are built, never diffed, and a pod is never decoded: what we do not know survives. Only
// `add` operations of known paths are returned for pods; they apply whether a list is missing, null,
// empty or filled, and a pod that is complete gets none.
//
// The package is pure: no client, no clock, no randomness.
package mutators
