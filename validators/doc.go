// Package validators decides what of our own kinds can be accepted, one file a kind: everything that
// neither the schema nor CEL can say. The webhook, the controllers and `kubectl stash check` ask the
// same functions, so that a cluster without the webhook gets the same answer.
//
// They are functions of values. What needs other objects comes in as Facts, and what is not known is
// never an error. A field whose feature comes later is refused by name, never ignored; what is
// accepted but may not be meant is a warning. Every message says where, what, why and what to write.
package validators
