// Package rollout decides how the pods of a workload come to their sidecar: when its pod template is
// stamped, which pod that missed the sidecar is replaced, and when a stamp whose pods cannot start
// the sidecar is taken back. Next is a function of what was observed and the time to one action; it
// holds no state: what must be remembered is in the status of the workload's configurations.
//
// It never acts; package controller does, and tries before it stamps or replaces whether the API
// server would take a completed pod.
package rollout
