// Package database is the list of databases that can be dumped and loaded, one file each: which programs
// do it, with which arguments, environment and files, and which of a user's params they may get. It
// decides and runs nothing, and imports nothing of Kubernetes, since the agent links it.
//
// No word of a user's becomes an argument that is not on the program's list here: some of them write or
// read files, run programs, or send the password to somebody else's server. There is no shell.
package database
