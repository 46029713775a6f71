package restic

// Unlock removes locks: all of them with RemoveAll, else those that restic holds for stale. From
// another PID namespace "stale" is a wrong guess, so that only who knows the holders dead may run it.
type Unlock struct {
	RemoveAll bool
}

// Args returns the arguments.
func (o Unlock) Args() []string {
	args := []string{"unlock", "--json"}
	if o.RemoveAll {
		args = append(args, "--remove-all")
	}
	return args
}
