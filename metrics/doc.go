// Package metrics declares every metric once. Those of backups, restores and repositories are
// derived from the status of objects at each scrape, by the leader: nothing goes stale when an
// object is deleted, and nothing is pushed. Both families of names that the existing Stash used are
// served, with its labels. Those of admission, scheduling and the broker are counted as they happen.
package metrics
