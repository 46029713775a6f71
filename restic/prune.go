package restic

// Prune removes the data that no snapshot uses. It holds an exclusive lock.
type Prune struct{}

// Args returns the arguments. restic 0.18 has JSON for its errors only.
func (o Prune) Args() []string {
	return []string{"prune", "--json", "--quiet"}
}
