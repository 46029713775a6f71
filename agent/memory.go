package agent

import "runtime/debug"

// Limits of our own heap. An idle agent holds a TLS connection and little else; the work is done by
// restic, in a process of its own.
const (
	gcPercent   = 50
	memoryLimit = 24 << 20
)

// TuneMemory makes the garbage collector prefer a small heap to speed. It is for the program, not
// for tests: it changes the whole process.
func TuneMemory() {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
}

// releaseMemory gives back what a task has used.
func releaseMemory() { debug.FreeOSMemory() }
