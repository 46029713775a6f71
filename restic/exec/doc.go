// Package exec runs restic's binary: with an environment made from nothing, in a process group of
// its own, with bounded memory for what it says. A run that is cancelled gets an interrupt, so that
// restic can remove its lock, and a kill if that does not help. Commands that only ask for metadata
// have a limit, since restic itself retries a wrong key for a quarter of an hour. What leaves the
// package, errors above all, holds no value of the repository's environment.
package exec
