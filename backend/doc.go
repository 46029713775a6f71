// Package backend is the list of storages that a Repository can name, one file each. For a backend
// block it decides restic's URL, its environment from the Secret's keys, what is wrong with the
// block, and which place it means. It never connects to anything and never holds a secret longer
// than a call. Text that a tenant wrote never changes the meaning of a URL: what could is refused
// by Validate, and Repository refuses whatever Validate does.
package backend
