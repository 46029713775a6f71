package addons

import "github.com/seed-731df569/stash/addons/database"

// PVC is the addon of stand-alone volumes.
const PVC = "pvc"

// Catalogue returns the addons of the existing Stash, by name, with the other names that images,
// sub-commands and AppBindings have for them. Those of databases that can be dumped here are
// database.All's.
func Catalogue() map[string][]string {
	all := map[string][]string{
		PVC:              {"volume"},
		"elasticsearch":  {"es"},
		"mongodb":        {"mongo"},
		"redis":          nil,
		"etcd":           nil,
		"nats":           nil,
		"percona-xtradb": nil,
		"vault":          nil,
		"kubedump":       {"cluster"},
	}
	for _, a := range database.All() {
		all[a.Name] = a.Aliases
	}
	return all
}
