// Package protection decides by ProtectionPolicies: which objects a policy selects, whether their backups
// meet what it requires, what becomes of a request that leaves one unprotected, which blueprint is applied
// by default, and what a policy's status says of all of them.
//
// The webhook, the controller of policies and the expansion of workloads ask the same functions. They are
// functions of values: objects, namespaces and configurations are fetched by the caller, and the same
// input gives the same verdict. Nothing here writes, and nothing decides whether a backup will succeed:
// a policy is about what is arranged.
package protection
