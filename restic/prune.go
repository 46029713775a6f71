package restic

import (
	"slices"
	"strings"
)

// Prune removes the data that no snapshot uses. It holds an exclusive lock. It runs in
// Repository.ForPrune.
type Prune struct{}

// Args returns the arguments. restic 0.18 has JSON for its errors only.
func (o Prune) Args() []string {
	return []string{"prune", "--json", "--quiet"}
}

// ForPrune returns the repository with at least two connections: with one, as users may have chosen
// for their backups, restic prune refuses to work.
func (r Repository) ForPrune() Repository {
	r.Options = slices.Clone(r.Options)
	for i, option := range r.Options {
		if name, found := strings.CutSuffix(option, ".connections=1"); found {
			r.Options[i] = name + ".connections=2"
		}
	}
	return r
}
