// Package certs keeps the serving certificates of the operator: a CA of its own and one leaf for the
// webhook and the broker, in one Secret that all replicas share. Every replica runs the same loop and
// reads the Secret by name, never lists or watches it; whoever finds that something is due writes it,
// and the others adopt it, so no leader is needed and no replica trusts its own memory alone.
//
// What is due is decided by Needs and done by Advance, two functions of the wall clock and the
// Secret's data. A CA is replaced with an overlap: clients trust old and new CA before the first leaf
// of the new one is served and until the last leaf of the old one is gone. What cert-manager issued is
// adopted into the same Secret, the same way (CertManager). A Secret that was deleted
// or damaged is made anew from memory where there is one, and its CA is then replaced that way.
package certs
