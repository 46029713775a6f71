package restic

// Dump writes one file of a snapshot to stdout.
type Dump struct {
	// ID is the snapshot's.
	ID string
	// Path is absolute.
	Path string
}

// Args returns the arguments.
func (o Dump) Args() []string { return []string{"dump", "--", o.ID, o.Path} }
