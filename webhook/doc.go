// Package webhook answers the API server's admission requests. Hooks is the one table of what is
// asked: the routes, both webhook configurations and the documentation are made from it. A handler
// decides and never writes: it reads through interfaces that informers stand behind, calls the pure
// functions of mutators, blueprint and validators, and answers with a patch, warnings or a refusal.
//
// Backup hooks fail open, since a controller mends what they miss; restore hooks and those of our own
// kinds fail closed. The pod hook is the hot path: one pass over the request's bytes, a plan from
// memory, and a response that is written, not encoded.
package webhook
