// Package session decides what a backup, a restore or a repository needs next. Each has a function
// of what was observed and the time to one action: Next for a BackupSession, NextRestore for a
// RestoreSession, NextWork for a Repository. The functions are pure and hold no state: whoever asks
// again after a crash gets the answer that leads on. They never act; package controller does.
//
// Each is a list of steps, one file a step, tried in order; the first that has something to do
// answers. A new step is one file and one line in the list.
package session
