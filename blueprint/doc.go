// Package blueprint expands the annotations of a target into the Repository and BackupConfiguration
// that its blueprint describes. The admission hook calls it to refuse what cannot work and to say
// what will appear, the pod hook to complete the first pod, the reconciler to store the objects: one
// function, so that all three agree.
//
// It is a function of values: blueprints are fetched by the caller, nothing is created, and the same
// input gives the same output. It does not repeat the rules of package validators, which its callers
// apply to what comes out; it checks what only the annotations can get wrong.
package blueprint
