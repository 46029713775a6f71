// Package doctor looks at an installation of Stash and says of each thing that must be right whether
// it is, what was seen, and what to do. It only reads; what it creates are dry runs and questions to
// the API server about rights. It needs no right that the operator does not have, reads the Secret of
// the certificates alone, and shows nothing of its keys.
//
// A check is one file: what it reads from the cluster, and a function of that which judges.
package doctor
