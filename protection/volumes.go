package protection

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/target"
)

// maxVolumes bounds the volumes that a fault names.
const maxVolumes = 3

// uncovered returns the volumes of an object that none of some backups holds.
func uncovered(o *Object, backups []Backup) []string {
	var held []string
	for _, b := range backups {
		if spec, _ := b.Configuration.Spec.Shipped(); spec.Target != nil {
			held = append(held, target.Held(o.Template, spec.Target)...)
		}
	}
	return slices.DeleteFunc(slices.Clone(o.Volumes), func(name string) bool { return slices.Contains(held, name) })
}

// leftOut is the fault of volumes that are in no backup, or in none that counts.
func leftOut(volumes []string, others bool) Fault {
	which := "no backup"
	if others {
		which = "no backup that meets the policy"
	}
	named := strings.Join(volumes[:min(len(volumes), maxVolumes)], ", ")
	if more := len(volumes) - maxVolumes; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return Fault{VolumeNotCovered, fmt.Sprintf("%s holds what outlives the pods in volumes: %s; mount each in volumeMounts and name its folders in paths (annotations volume-mounts and target-paths)", which, named)}
}
